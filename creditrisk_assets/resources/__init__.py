"""Dagster resources: connections and lifetimes."""
