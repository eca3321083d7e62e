"""Dagster definitions of the serving location."""
