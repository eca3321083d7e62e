"""Connectors against their real counterparts."""
