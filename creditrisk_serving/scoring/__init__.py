"""Scoring of applications and applicants."""
