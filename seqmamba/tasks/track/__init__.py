"""Multi-object tracking with a motion model that is learned from tracks."""
