"""Delimited text (CSV and its kin), read exactly or refused with the row at fault."""

from seqmamba.frames.delimited.text_columns import read_text_columns

__all__ = ["read_text_columns"]
