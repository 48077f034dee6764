"""Hyper-parameter sweeps on Optuna."""
