"""Networks that read recordings."""
