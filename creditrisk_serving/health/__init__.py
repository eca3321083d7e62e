"""Liveness, readiness, metadata and metrics."""
