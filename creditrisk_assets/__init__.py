"""Code location 1: from raw tables to a registered model."""
