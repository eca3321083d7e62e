"""Code location 2: from a registered model to decisions."""
