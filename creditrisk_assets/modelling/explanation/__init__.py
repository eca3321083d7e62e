"""Why a score is what it is: exact contributions of the features to a margin, against applicants who were just approved."""
