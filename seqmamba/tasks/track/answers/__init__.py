"""What a motion predictor answers: forecasts, comparisons, pictures."""
