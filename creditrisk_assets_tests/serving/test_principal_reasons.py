"""Principal reasons: told of every referral and decline, stored as told, rules first, never what the model does not look at."""

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from creditrisk_assets.modelling.bundle import Bundle, to_float32
from creditrisk_assets.modelling.policy import Decision
from creditrisk_assets.modelling.signing import public_bytes, signing_key
from creditrisk_assets_tests.serving.client import Client
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_serving.decisions.schemas import Reason
from creditrisk_serving.scoring.reasons import principal_reasons, reason_codes

RULE = "annuity_above_income"
FIRST = "RULE-ANNUITY_ABOVE_INCOME"


@pytest.fixture(scope="module")
def bundle(template: Published) -> Bundle:
    return Bundle.load(template.home / "made" / "champion", public_bytes(signing_key(template.home / "keys")))


@pytest.fixture(scope="module")
def row(template: Published, bundle: Bundle) -> np.ndarray:
    table = pq.read_table(template.joined, columns=list(bundle.feature_names)).slice(0, 1)
    return to_float32(bundle.encode({name: table.column(name).to_pylist() for name in bundle.feature_names}))[0]


def say(bundle: Bundle, outcome: Decision, pd: float, row: np.ndarray) -> list[Reason] | None:
    assert bundle.explainer is not None
    return principal_reasons(bundle, outcome, pd, bundle.explainer.contributions(row), row)


def test_without_a_rule_the_model_s_reasons_are_told(bundle: Bundle, row: np.ndarray) -> None:
    found = say(bundle, Decision("decline", "E"), 0.5, row)
    assert found
    assert all((one.contribution or 0) > 0 for one in found)
    assert {one.code for one in found} <= set(reason_codes(bundle))


def test_a_rule_that_decided_is_told_first_and_the_model_s_follow_only_if_the_pd_too_would_not_approve(
    bundle: Bundle, row: np.ndarray
) -> None:
    alone = say(bundle, Decision("refer", "A", RULE), 0.01, row)
    assert alone is not None
    assert [(one.code, one.group, one.contribution, one.value) for one in alone] == [(FIRST, RULE, None, None)]
    assert alone[0].text.startswith("The loan would take more than the whole income")
    both = say(bundle, Decision("decline", "E", RULE), 0.2, row)
    of_model = say(bundle, Decision("refer", "E"), 0.2, row)
    assert both is not None
    assert of_model is not None
    assert both == [alone[0], *of_model][:4]


def test_contributions_that_may_not_be_told_leave_the_rule_alone_or_nothing(bundle: Bundle, row: np.ndarray) -> None:
    ruled = principal_reasons(bundle, Decision("decline", "E", RULE), 0.5, None, row)
    assert ruled is not None
    assert [one.code for one in ruled] == [FIRST]
    assert principal_reasons(bundle, Decision("decline", "E"), 0.5, None, row) is None
    assert say(replace(bundle, reasons=None), Decision("decline", "E"), 0.5, row) is None


def test_every_referral_and_decline_is_told_why_and_the_log_keeps_what_was_told(
    shared: Client, template: Published, bundle: Bundle
) -> None:
    known = set(reason_codes(bundle))
    decisions = shared.post("/predict", {"applicant_ids": template.portfolio.applicants}).json()["decisions"]
    declined = [decision for decision in decisions if decision["decision"] != "approve"]
    assert declined
    for decision in decisions:
        stored = shared.get(f"/decisions/{decision['decision_id']}").json()
        assert stored["reasons"] == decision["reasons"]
        if decision["decision"] == "approve":
            assert decision["reasons"] is None
            continue
        assert 1 <= len(decision["reasons"]) <= 4
        assert {one["code"] for one in decision["reasons"]} <= known
        assert (decision["reasons"][0]["contribution"] is None) == (decision["rule"] is not None)
        sums = [one["contribution"] for one in decision["reasons"] if one["contribution"] is not None]
        assert sums == sorted(sums, reverse=True)
        assert all(one > 0 for one in sums)
    metrics = shared.get("/metrics").body.decode()
    assert f'creditrisk_reasons_total{{reason="{declined[0]["reasons"][0]["code"]}"}}' in metrics


def test_what_if_is_told_the_same_and_counts_nothing(published: Published) -> None:
    asked = {"applicant_ids": published.portfolio.applicants}
    with Client(published.home) as client:
        estimates = client.post("/what-if", asked).json()["estimates"]
        assert "creditrisk_reasons_total{" not in client.get("/metrics").body.decode()
        decisions = client.post("/predict", asked).json()["decisions"]
    assert [one["reasons"] for one in estimates] == [one["reasons"] for one in decisions]
    assert any(one["reasons"] for one in estimates)
