"""Zones made by physics that shares no code with the estimator, peers beside it, and how they are scored."""
