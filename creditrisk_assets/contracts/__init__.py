"""What tables are: one declaration per table, its renderings, and the check that holds data to it."""
