"""Answers of a fitted recommender: who is asked for, ranked items, streams."""
