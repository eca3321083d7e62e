"""What people who run the platform do to its stores: migrate, back up, restore."""
