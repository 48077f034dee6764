"""Bags of instances: ordered sets of feature vectors of any size, from files, tables and arrays."""
