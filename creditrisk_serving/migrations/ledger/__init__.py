"""Revisions of the registry's ledger."""
