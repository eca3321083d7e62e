"""Revisions of the decision log."""
