"""The synthetic portfolio."""
