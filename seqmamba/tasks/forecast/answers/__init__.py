"""Outputs of the network to tables of the user: forecasts, intervals, backtests, plots."""
