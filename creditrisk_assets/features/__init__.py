"""What features mean: one SQL definition per family, run for batch and for a request."""
