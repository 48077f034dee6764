"""Motion models for all tracks at once."""
