"""The online store: the features of every applicant, one row per key, for lookups at the moment of decision."""
