"""Recordings of several leads: WFDB, NumPy, Parquet, CSV and MATLAB files, and their labels."""

from seqmamba.datasets.records.labels import Labels, read_labels
from seqmamba.datasets.records.read import Records, open_records
from seqmamba.datasets.records.record import Failure, Record

__all__ = ["Failure", "Labels", "Record", "Records", "open_records", "read_labels"]
