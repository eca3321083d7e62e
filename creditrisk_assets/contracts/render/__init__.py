"""Renderings of the contracts: SQL, Arrow, request schemas, Markdown."""
