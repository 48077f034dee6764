"""What a fitted classifier says: decisions, scores, reports, saliency, streams."""
