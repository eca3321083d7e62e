"""The decision desk: the page at `/` for a person at a lender."""
