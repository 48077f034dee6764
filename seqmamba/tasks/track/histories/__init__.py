"""What the motion network reads: windows of tracks, seen by a detector."""
