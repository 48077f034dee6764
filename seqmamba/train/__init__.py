"""Training: one loop, its optimiser, callbacks, checkpoints and anchors."""
