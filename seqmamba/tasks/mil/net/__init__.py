"""The network over bags."""
