"""Where a decision comes from, back to raw files."""
