"""Boxes of tracks and detections, one row per frame and object."""
