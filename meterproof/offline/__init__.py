"""Assessing files without a database: reading them, the evidence beside them, and what is written."""
