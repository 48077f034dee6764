"""What a fitted model of bags answers."""
