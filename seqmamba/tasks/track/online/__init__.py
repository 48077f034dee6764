"""Online tracking by detection: the tracker and its parts."""
