"""The rate that a loan bears when only its amount, its instalment and its term are told.

What belongs here: a root finder that needs no start and no derivative. What does not: loans (the families).
"""

import numpy as np
import pandas as pd


def monthly_rate(amount: pd.Series, instalment: pd.Series, term: pd.Series) -> pd.Series:
    """Bisect between 0 and 1 for the rate at which the instalments are worth the amount; 0 or 1 if it lies beyond."""
    low, high = np.zeros(len(term)), np.ones(len(term))
    for _ in range(60):
        rate = (low + high) / 2
        too_low = -np.expm1(-term * np.log1p(rate)) / rate * instalment > amount
        low, high = np.where(too_low, rate, low), np.where(too_low, high, rate)
    return pd.Series((low + high) / 2, index=term.index).where(term.notna() & instalment.notna() & amount.notna())
