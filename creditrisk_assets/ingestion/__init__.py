"""Where raw tables come from: finding, unpacking and typing files."""
