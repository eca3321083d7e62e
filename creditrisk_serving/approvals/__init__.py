"""Approvals of model versions over the API."""
