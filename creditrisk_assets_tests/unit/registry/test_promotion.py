"""Replacing the champion: what a registered version needs for it; the gates of registration are `test_validation`'s."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from creditrisk_assets.modelling.policy import load_policy
from creditrisk_assets.registry.promotion import GateFigures, decide_promotion, promotion_record

POLICY = load_policy()
GOOD = GateFigures(
    auc=0.78, gini=0.56, ks=0.42, brier=0.066, brier_to_constant=0.9, calibration_slope=1.02, test_defaults=900
)


def test_the_first_version_becomes_champion() -> None:
    decision = decide_promotion(GOOD, None, POLICY)
    assert (decision.promote, decision.gate_passed) == (True, True)
    assert "first version" in decision.words


def test_a_first_version_that_misses_a_gate_is_champion_and_says_so() -> None:
    decision = decide_promotion(replace(GOOD, test_defaults=12), None, POLICY)
    assert (decision.promote, decision.gate_passed) == (True, False)
    assert "gate missed: defaults in the test part 12 is below 50" in decision.reasons


def test_a_candidate_as_good_as_the_champion_takes_its_place() -> None:
    assert decide_promotion(replace(GOOD, auc=0.776), GOOD, POLICY).promote


def test_a_candidate_that_loses_more_auc_than_allowed_does_not() -> None:
    decision = decide_promotion(replace(GOOD, auc=0.77), GOOD, POLICY)
    assert not decision.promote
    assert "0.0100 below the champion's 0.7800" in decision.words


@pytest.mark.parametrize(("field", "bad"), [("test_defaults", 49), ("auc", float("nan")), ("auc", 0.59)])
def test_each_limit_stops_a_candidate_and_nan_passes_none(field: str, bad: float) -> None:
    decision = decide_promotion(replace(GOOD, **{field: bad}), replace(GOOD, auc=0.6), POLICY)
    assert (decision.promote, decision.gate_passed) == (False, False)
    assert decision.reasons[0] == "the champion stays"


def test_all_reasons_are_told_at_once() -> None:
    candidate = replace(GOOD, auc=0.5, test_defaults=3, synthetic=True)
    assert len(decide_promotion(candidate, GOOD, POLICY).reasons) == 4


def test_figures_survive_their_tag() -> None:
    assert GateFigures.from_json(GOOD.to_json()) == GOOD
    with pytest.raises(ValueError, match="figures of a gate"):
        GateFigures.from_json('{"auc": 1}')


def test_the_record_holds_what_an_auditor_asks_for() -> None:
    at = datetime(2026, 5, 3, 14, tzinfo=UTC)
    decision = decide_promotion(GOOD, None, POLICY)
    record = promotion_record(decision, GOOD, None, versions={"candidate": 3}, policy=POLICY, at=at)
    assert json.loads(json.dumps(record))["policy"]["sha256"] == POLICY.digest
    assert record["at"] == "2026-05-03T14:00:00+00:00"
    assert (record["promoted"], record["champion"], record["versions"]) == (True, None, {"candidate": 3})


@pytest.mark.parametrize(
    ("candidate", "champion", "promoted"),
    [(True, False, False), (True, True, True), (False, True, True), (False, False, True)],
)
def test_a_model_of_the_sample_portfolio_never_replaces_one_of_real_applicants(
    candidate: bool, champion: bool, promoted: bool
) -> None:
    decision = decide_promotion(replace(GOOD, synthetic=candidate), replace(GOOD, synthetic=champion), POLICY)
    assert decision.promote is promoted
    assert ("trained on the synthetic portfolio" in decision.words) is (candidate != champion)
