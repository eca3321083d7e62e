"""Tests of the standing challengers."""
