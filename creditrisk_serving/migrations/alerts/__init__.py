"""Revisions of the alert store."""
