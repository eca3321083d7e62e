"""Cut-offs: what they do, counted applicant by applicant; the best ones, where mathematics knows them."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.special import expit

from creditrisk_assets.modelling.economics import (
    Economics,
    best_cut_offs,
    candidates,
    pairs,
    simulate,
)
from creditrisk_assets.modelling.policy import Decisions
from creditrisk_assets.modelling.policy_plots import draw_cut_off_map, draw_single_cut_off

Numbers = NDArray[np.float64]

ECONOMICS = Economics(
    loan_amount=1000,
    margin_share=0.08,
    loss_given_default=0.6,
    exposure_at_default_share=0.7,
    review_cost=3,
    review_capacity_share=0.15,
    reviewer_finds_defaults_share=0.5,
    reviewer_keeps_good_share=0.9,
)


def changed(**changes: float) -> Economics:
    return Economics.model_validate({**ECONOMICS.model_dump(), **changes})


def draw(rows: int = 5000, seed: int = 0) -> tuple[NDArray[np.int64], Numbers]:
    random = np.random.default_rng(seed)
    pds = expit(random.normal(-2.8, 1.1, rows))
    return (random.random(rows) < pds).astype(np.int64), pds


def count(pds: Numbers, risk: Numbers, amounts: Numbers, approve: float, decline: float) -> dict[str, float]:
    """Go from applicant to applicant, as the module's docstring says."""
    approvals = referrals = bads = profit = 0.0
    e = ECONOMICS
    for pd, p, amount in zip(pds, risk, amounts, strict=True):
        good, bad = (1 - p) * e.margin_share * amount, p * e.loss_given_default * e.exposure_at_default_share * amount
        if pd < approve:
            approvals, bads, profit = approvals + 1, bads + p, profit + good - bad
        elif pd < decline:
            kept, missed = e.reviewer_keeps_good_share, 1 - e.reviewer_finds_defaults_share
            referrals += 1
            approvals += (1 - p) * kept + p * missed
            bads += p * missed
            profit += good * kept - bad * missed - e.review_cost
    n = len(pds)
    bad_rate = bads / approvals if approvals else np.nan
    return {"approval": approvals / n, "referral": referrals / n, "bad": bad_rate, "profit": profit / n}


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 10), st.integers(0, 1), st.integers(1, 3)), min_size=1, max_size=30),
    st.tuples(st.integers(0, 10), st.integers(0, 10)),
    st.booleans(),
    st.booleans(),
)
def test_a_simulation_is_the_sum_over_applicants(
    rows: list[tuple[int, int, int]], cut_offs: tuple[int, int], happened: bool, own_amounts: bool
) -> None:
    pds, outcomes = np.array([row[0] for row in rows]) / 10, np.array([row[1] for row in rows])
    amounts = np.array([row[2] for row in rows]) * 1000.0
    low, high = sorted(cut_offs)
    found = simulate(
        pds,
        ECONOMICS,
        np.array([low / 10]),
        np.array([high / 10]),
        outcomes=outcomes if happened else None,
        amounts=amounts if own_amounts else None,
    )
    risk = outcomes.astype(float) if happened else pds
    expected = count(pds, risk, amounts if own_amounts else np.full(len(pds), 1000.0), low / 10, high / 10)
    measured = (found.approval_rate, found.referral_rate, found.bad_rate, found.profit_per_applicant)
    for one, other in zip(measured, expected.values(), strict=True):
        assert one[0] == pytest.approx(other, abs=1e-9, nan_ok=True)


def test_without_reviews_the_best_cut_off_is_the_break_even_pd() -> None:
    _, pds = draw()
    best = best_cut_offs(pds, changed(review_capacity_share=0))
    assert best.approve_below == best.decline_from
    assert ECONOMICS.break_even_pd == pytest.approx(0.16)
    assert best.approve_below == pytest.approx(0.16, abs=0.01)


def test_with_enough_reviewers_a_person_sees_whom_reviewing_pays() -> None:
    """Refer where a review makes more than an approval and more than nothing: two straight lines in the PD."""
    _, pds = draw(50_000)
    best = best_cut_offs(pds, changed(review_capacity_share=1))
    risk = np.linspace(0, 1, 100_001)
    approved, referred = ECONOMICS.approved(risk, 1000.0), ECONOMICS.referred(risk, 1000.0)
    refer = risk[(referred > approved) & (referred > 0)]
    assert best.approve_below == pytest.approx(refer[0], abs=0.005)
    assert best.decline_from == pytest.approx(refer[-1], abs=0.015)


def test_no_pair_tried_makes_more_within_the_capacity() -> None:
    _, pds = draw()
    best = best_cut_offs(pds, ECONOMICS)
    tried = candidates(pds)
    every = [
        simulate(pds, ECONOMICS, np.array([a]), np.array([d])).row(0) for a in tried[::7] for d in tried[::7] if a <= d
    ]
    assert best.referral_rate <= ECONOMICS.review_capacity_share
    assert max(e.profit_per_applicant for e in every if e.referral_rate <= 0.15) <= best.profit_per_applicant
    assert max(e.profit_per_applicant for e in every) > best.profit_per_applicant  # the capacity binds


def test_more_reviewers_never_make_less() -> None:
    _, pds = draw()
    profits = [
        best_cut_offs(pds, changed(review_capacity_share=share)).profit_per_applicant
        for share in (0, 0.05, 0.15, 0.5, 1)
    ]
    assert profits == sorted(profits)
    assert profits[0] < profits[2]


def test_a_useless_reviewer_sees_nobody() -> None:
    _, pds = draw()
    best = best_cut_offs(pds, changed(reviewer_finds_defaults_share=0.1, reviewer_keeps_good_share=0.9))
    assert best.referral_rate == 0


def test_nobody_is_approved_where_every_loan_loses() -> None:
    _, pds = draw()
    best = best_cut_offs(pds, changed(margin_share=1e-9, review_cost=0))
    assert (best.approval_rate, best.referral_rate, best.bad_rate, best.profit_per_applicant) == (0, 0, None, 0)
    json.dumps(best.to_dict(), allow_nan=False)


def test_everybody_is_approved_where_no_loan_loses() -> None:
    _, pds = draw()
    best = best_cut_offs(pds, changed(margin_share=1, loss_given_default=1e-9, review_cost=10))
    assert best.approval_rate == 1


def test_higher_cut_offs_approve_more_and_worse_applicants() -> None:
    _, pds = draw()
    tried = candidates(pds)
    found = simulate(pds, ECONOMICS, tried, tried)
    assert (np.diff(found.approval_rate) >= 0).all()
    assert (np.diff(found.bad_rate[found.approval_rate > 0]) >= -1e-12).all()
    assert (found.approval_rate[0], found.approval_rate[-1]) == (0, 1)


def test_what_true_pds_expect_is_about_what_happens() -> None:
    target, pds = draw(100_000)
    cut_offs = np.array([0.12]), np.array([0.3])
    expected, happened = (simulate(pds, ECONOMICS, *cut_offs, outcomes=o).row(0) for o in (None, target))
    assert happened.profit_per_applicant == pytest.approx(expected.profit_per_applicant, rel=0.05)
    assert happened.bad_rate == pytest.approx(expected.bad_rate, rel=0.05)
    assert happened.referral_rate == expected.referral_rate


def test_the_best_cut_offs_are_decisions_of_a_policy() -> None:
    best = best_cut_offs(draw()[1], ECONOMICS)
    Decisions(approve_below=best.approve_below, decline_from=best.decline_from)
    assert best.approve_below == round(best.approve_below, 4)


def test_pairs_are_all_ordered_pairs() -> None:
    low, high = pairs(np.array([0.0, 0.1, 1.0]))
    assert sorted(zip(low.tolist(), high.tolist(), strict=True)) == [
        (0, 0),
        (0, 0.1),
        (0, 1),
        (0.1, 0.1),
        (0.1, 1),
        (1, 1),
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("margin_share", 0),
        ("loss_given_default", 1.1),
        ("review_cost", -1),
        ("review_capacity_share", float("nan")),
        ("loan_amount", float("inf")),
        ("luck", 1),
    ],
)
def test_assumptions_that_make_no_sense_are_refused(field: str, value: float) -> None:
    with pytest.raises(ValidationError, match=field):
        changed(**{field: value})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pds": np.array([])}, "no applicants"),
        ({"pds": np.array([0.1, np.nan])}, "NaN or outside"),
        ({"outcomes": np.array([0, 1, 1])}, "2 PDs and 3 outcomes"),
        ({"outcomes": np.array([0, 2])}, "neither 0 nor 1"),
        ({"amounts": np.array([1.0])}, "2 PDs and 1 amounts"),
        ({"amounts": np.array([1.0, 0.0])}, "not above 0"),
        ({"amounts": np.array([1.0, np.inf])}, "infinite"),
        ({"approve_below": np.array([0.4])}, "must not lie above"),
        ({"approve_below": np.array([np.nan])}, "must not lie above"),
    ],
)
def test_what_cannot_be_simulated_is_refused(changes: dict[str, Numbers], words: str) -> None:
    parts = {"pds": np.array([0.1, 0.2]), "approve_below": np.array([0.1]), "decline_from": np.array([0.3])}
    with pytest.raises(ValueError, match=words):
        simulate(economics=ECONOMICS, **{**parts, **changes})  # type: ignore[arg-type]  # a table of arguments


def test_a_capacity_no_pair_keeps_is_an_error() -> None:
    found = simulate(np.array([0.1, 0.2]), ECONOMICS, np.array([0.0]), np.array([1.0]))
    with pytest.raises(ValueError, match="none of the 1 pairs"):
        found.best(0.5)


def test_pictures_are_png_and_the_same_every_time() -> None:
    _, pds = draw()
    best, tried = best_cut_offs(pds, ECONOMICS), candidates(pds, 50)
    single, every = simulate(pds, ECONOMICS, tried, tried), simulate(pds, ECONOMICS, *pairs(tried))
    first = draw_single_cut_off(single, best), draw_cut_off_map(every, best, 0.15)
    assert all(png.startswith(b"\x89PNG") for png in first)
    assert (draw_single_cut_off(single, best), draw_cut_off_map(every, best, 0.15)) == first
    with pytest.raises(ValueError, match="single cut-offs"):
        draw_single_cut_off(every, best)


def test_pictures_of_a_handful_of_applicants_are_drawn_too() -> None:
    pds = np.array([0.1, 0.1])
    best, tried = best_cut_offs(pds, ECONOMICS), candidates(pds)
    assert draw_single_cut_off(simulate(pds, ECONOMICS, tried, tried), best).startswith(b"\x89PNG")
    assert draw_cut_off_map(simulate(pds, ECONOMICS, *pairs(tried)), best, 0.15).startswith(b"\x89PNG")
