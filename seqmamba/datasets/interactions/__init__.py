"""Interactions of users and items, one row per event."""
