"""What a fitted forecaster answers: forecasts, scores, intervals, reports."""
