"""Readers, one per shape of data, and simulators."""
