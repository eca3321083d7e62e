"""Dagster definitions by stage: ingestion, features, training, governance, monitoring."""
