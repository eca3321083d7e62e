"""The term and the rate implied by a loan's amount and instalment are those a search finds."""

import random

import pytest

from creditrisk_assets.features.request import RequestFeatures

TERMS = range(6, 61, 6)


def simple_rate(rate: float, term: int) -> float:
    return 24 * (term * rate - 1) / (term + 1)


def monthly_rate(payment_rate: float, term: int) -> float:
    """The rate at which `term` instalments repay the loan, by bisection."""
    low, high = 1e-9, 1.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if payment_rate * (1 - (1 + middle) ** -term) > middle else (low, middle)
    return low


def test_shortest_plausible_term_and_its_rates_are_found(requests: RequestFeatures) -> None:
    source = random.Random(5)
    loans = [(source.uniform(20000, 4e6), source.uniform(0.012, 0.3)) for _ in range(500)]
    applications = [
        {"SK_ID_CURR": place, "AMT_CREDIT": amount, "AMT_ANNUITY": amount * share}
        for place, (amount, share) in enumerate(loans)
    ]
    found = requests.compute_application(applications)
    with_term = 0
    for place, (_, share) in enumerate(loans):
        rates = {term: simple_rate(share, term) for term in TERMS if 0.085 <= simple_rate(share, term) <= 1}
        assert found["application__shortest_term_months"][place] == min(rates, default=None)
        assert found["application__plausible_terms_count"][place] == (len(rates) or None)
        if not rates:
            assert found["application__monthly_rate_ratio_min"][place] is None
            continue
        with_term += 1
        term = min(rates)
        assert found["application__simple_rate_ratio_min"][place] == pytest.approx(rates[term])
        assert found["application__simple_rate_ratio_max"][place] == pytest.approx(max(rates.values()))
        assert found["application__simple_rate_ratio_mean"][place] == pytest.approx(sum(rates.values()) / len(rates))
        assert found["application__monthly_rate_ratio_min"][place] == pytest.approx(monthly_rate(share, term), rel=1e-4)
    assert 100 < with_term < 500
