"""Steps between the schemas of the platform's own databases: a folder of Alembic revisions for each. A released revision never changes."""
