"""The commands that every task has, made from its registry entry and its estimator."""
