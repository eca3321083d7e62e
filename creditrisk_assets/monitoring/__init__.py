"""What production looks like against the reference: pure functions returning dataclasses."""
