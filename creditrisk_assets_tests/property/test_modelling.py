"""What holds of any scores, policies and columns."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from creditrisk_assets.modelling.auc import auc_interval
from creditrisk_assets.modelling.bundle import BundleFeature, Encoder
from creditrisk_assets.modelling.encoder import ApplicantEncoder
from creditrisk_assets.modelling.evaluation import evaluate
from creditrisk_assets.modelling.policy import load_policy
from creditrisk_assets.modelling.reference import number_reference
from creditrisk_assets.monitoring.drift.counting import count_numbers
from creditrisk_assets.monitoring.drift.effects import compare
from creditrisk_assets.monitoring.retraining import Evidence, RetrainRun, RetrainState, plan_retrain

POLICY = load_policy()
FINITE = st.floats(allow_nan=False, allow_infinity=False)
PD = st.floats(0, 1)
RANK = {"approve": 0, "refer": 1, "decline": 2}
SCORED = st.lists(st.tuples(st.booleans(), PD), min_size=2, max_size=60).filter(
    lambda rows: len({r[0] for r in rows}) == 2
)


def arrays(rows: list[tuple[bool, float]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([row[0] for row in rows], dtype=np.int64), np.array([row[1] for row in rows])


@given(PD, PD)
def test_a_higher_pd_is_never_treated_better(one: float, other: float) -> None:
    better, worse = (POLICY.decide(pd) for pd in sorted([one, other]))
    assert RANK[better.decision] <= RANK[worse.decision]
    assert better.band <= worse.band


@settings(max_examples=40)
@given(SCORED, st.randoms())
def test_the_order_of_applicants_changes_no_figure(rows: list[tuple[bool, float]], random) -> None:  # type: ignore[no-untyped-def]  # Hypothesis
    shuffled = list(rows)
    random.shuffle(shuffled)
    one, other = evaluate(*arrays(rows), POLICY), evaluate(*arrays(shuffled), POLICY)
    for name in ("auc", "ks", "pr_auc", "brier"):
        a, b = one.figures()[name], other.figures()[name]
        assert np.isclose(a, b, rtol=1e-6, atol=1e-9), name


@settings(max_examples=40)
@given(SCORED)
def test_figures_lie_where_they_belong(rows: list[tuple[bool, float]]) -> None:
    found = evaluate(*arrays(rows), POLICY)
    assert 0 <= found.auc.low <= found.auc.value <= found.auc.high <= 1
    assert 0 <= found.ks <= 1
    assert 0 <= found.brier <= 1
    assert np.isfinite(list(found.figures().values())).all()


@given(SCORED)
def test_turning_the_scores_round_turns_the_auc_round(rows: list[tuple[bool, float]]) -> None:
    target, pds = arrays(rows)
    assert np.isclose(auc_interval(target, pds).value + auc_interval(target, -pds).value, 1)


@given(
    st.lists(st.tuples(st.none() | FINITE | st.booleans(), st.none() | st.text(max_size=3)), min_size=1, max_size=130)
)
def test_training_and_request_encode_alike(rows: list[tuple[float | bool | None, str | None]]) -> None:
    """Any numbers and any text: the pipeline's encoder, the bundle one row at a time, the bundle in bulk."""
    numbers, texts = [row[0] for row in rows], [row[1] for row in rows]
    frame = pd.DataFrame({"x": pd.Series([None if n is None else float(n) for n in numbers], dtype=float), "c": texts})
    frame["c"] = frame["c"].astype("category")
    encoder = ApplicantEncoder().fit(frame)
    features = (BundleFeature("x", "f", "numeric"), BundleFeature("c", "f", "category", encoder.categories_["c"]))
    bundle = Encoder(features)
    expected = encoder.transform(frame).astype(np.float64)
    bulk = bundle.encode({"x": numbers, "c": texts})
    single = [bundle.encode({"x": [number], "c": [text]})[0] for number, text in rows]
    assert np.array_equal(bulk, expected, equal_nan=True)
    assert np.array_equal(single, expected, equal_nan=True)


@given(st.lists(st.none() | st.floats(-1e6, 1e6), min_size=1), st.lists(st.none() | st.floats(-1e6, 1e6), min_size=1))
def test_psi_is_finite_and_never_negative(before: list[float | None], after: list[float | None]) -> None:
    sides = [np.array(side, dtype=np.float32) for side in (before, after)]
    reference = number_reference(sides[0])
    effect = compare(reference, count_numbers(reference, sides[1]))
    assert np.isfinite(effect.psi)
    assert effect.psi >= 0
    assert 0 <= effect.jensen_shannon <= 1
    assert 0 <= effect.p_value <= 1
    assert not effect.wasserstein < 0
    assert compare(reference, count_numbers(reference, sides[0])).psi == 0


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 200)), max_size=30))
def test_no_report_ever_trains_twice_and_the_budget_holds(looks: list[tuple[int, bool, int]]) -> None:
    now, state, runs, keys = datetime(2026, 1, 1, tzinfo=UTC), RetrainState(), [], set()
    for version, forgets, hours in looks:
        now += timedelta(hours=hours)
        evidence = Evidence("drift", f"r{version}", True, "moved")
        plan = plan_retrain(RetrainState() if forgets else state, evidence, runs, POLICY.retraining, now)
        state = plan.state
        if plan.request is not None and plan.request.run_key not in keys:  # Dagster launches a name once
            keys.add(plan.request.run_key)
            runs.append(RetrainRun(plan.request.evidence, "succeeded", now))
    assert len({run.evidence for run in runs}) == len(runs)
    for run in runs:
        inside = [each for each in runs if timedelta(0) <= run.launched - each.launched < timedelta(days=30)]
        assert len(inside) <= POLICY.retraining.maximum_per_30_days
