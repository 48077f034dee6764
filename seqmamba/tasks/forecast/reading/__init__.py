"""Tables of the user to windows of the network."""
