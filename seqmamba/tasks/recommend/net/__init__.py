"""The networks of sequential recommendation, their losses and the released names."""
