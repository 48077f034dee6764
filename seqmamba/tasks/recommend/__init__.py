"""Sequential recommendation."""
