"""What would change a decision."""
