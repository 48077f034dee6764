"""Chaotic systems: equations with their known exponents, and orbits of them."""
