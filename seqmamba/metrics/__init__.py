"""Metrics: plain functions on NumPy arrays; no torch."""
