"""Fairness: how alike groups of applicants are treated, what stands for what may not be used, and whether a fairer model was to be had."""
