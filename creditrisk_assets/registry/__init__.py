"""Model versions and their promotion."""
