"""Revisions of the index of the online store."""
