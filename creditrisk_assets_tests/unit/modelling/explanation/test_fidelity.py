"""Fidelity: flips by definition, what the asset's checks refuse, and nothing said where nobody was declined."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from creditrisk_assets.defs.reasons import PATHS_CHECK, _of_declines, _told_of, reaching
from creditrisk_assets.modelling.auc import Interval
from creditrisk_assets.modelling.bundle import Bundle
from creditrisk_assets.modelling.explanation.explainer import ExplanationError
from creditrisk_assets.modelling.explanation.fidelity import (
    DISCLOSED,
    EVERY,
    PATHS,
    RANDOM,
    Fidelity,
    Flips,
    exchanged_margins,
    measure_fidelity,
    path_dependent,
)
from creditrisk_assets.modelling.explanation.fidelity_plots import draw_flips, draw_mix
from creditrisk_assets.modelling.explanation.principal import ReasonBook
from creditrisk_assets.modelling.explanation.reference_set import ReferenceSet
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets.modelling.training import Training
from creditrisk_assets_tests.unit.modelling.conftest import CUT_OFF, Written


@pytest.fixture
def bundle(written: Written) -> Bundle:
    found = written.bundle
    limits = found.policy.decisions.model_copy(update={"approve_below": CUT_OFF, "decline_from": 0.35})
    return replace(found, policy=found.policy.model_copy(update={"decisions": limits}))


@pytest.fixture
def declined(training: Training, part: Part, bundle: Bundle) -> np.ndarray:
    rows = np.asarray(training.model.matrix(part.frame), dtype=np.float32)
    return rows[bundle.score_float32(rows) >= bundle.policy.decisions.decline_from][:60]


def groups_of(bundle: Bundle, *names: str, rows: int) -> np.ndarray:
    assert bundle.reasons is not None
    return np.tile(np.isin(bundle.reasons.groups, names), (rows, 1))


def test_exchanging_nothing_and_everything_gives_the_margin_and_the_base(
    bundle: Bundle, declined: np.ndarray, compared: ReferenceSet
) -> None:
    assert bundle.explainer is not None
    assert bundle.reasons is not None
    nothing = exchanged_margins(bundle, declined, compared.rows, groups_of(bundle, rows=len(declined)))
    assert np.allclose(nothing, bundle.booster.margins(declined), atol=1e-12)
    everything = groups_of(bundle, *bundle.reasons.groups, rows=len(declined))
    assert np.allclose(exchanged_margins(bundle, declined, compared.rows, everything), bundle.explainer.base, atol=1e-6)


def test_a_group_is_exchanged_in_the_applicants_it_is_exchanged_in_and_no_other_group_is(
    bundle: Bundle, declined: np.ndarray, compared: ReferenceSet
) -> None:
    assert bundle.reasons is not None
    group = bundle.reasons.tellings[0].group
    chosen = groups_of(bundle, group, rows=len(declined))
    chosen[::2] = False
    by_hand = []
    for row, some in zip(declined, chosen, strict=True):
        mixed = np.repeat(row[None], len(compared.rows), axis=0)
        if some.any():
            mixed[:, 0] = compared.rows[:, 0]
        by_hand.append(bundle.booster.margins(mixed).mean())
    assert [telling.group for telling in bundle.reasons.tellings].count(group) == 1
    assert np.allclose(exchanged_margins(bundle, declined, compared.rows, chosen), by_hand, atol=1e-12)


def test_without_its_reasons_every_decline_is_approved_and_ranks_agree_with_scoring_without_each(
    written: Written, bundle: Bundle, declined: np.ndarray, compared: ReferenceSet
) -> None:
    assert bundle.reasons is not None
    by_paths = path_dependent(written.content.model_text, declined)
    found = measure_fidelity(bundle, declined, compared.rows, by_paths)
    assert found.applicants == len(declined) > 20
    every = found.rate(EVERY)
    assert (every.approved, every.no_longer_declined) == (1.0, 1.0)
    assert every.margin_taken_off >= found.rate(DISCLOSED).margin_taken_off >= found.rate(RANDOM).margin_taken_off > 0
    assert found.beyond_paths is not None
    difference = found.rate(DISCLOSED).margin_taken_off - found.rate(PATHS).margin_taken_off
    assert found.beyond_paths.value == pytest.approx(difference)
    assert found.beyond_paths.low <= found.beyond_paths.value <= found.beyond_paths.high
    assert found.additivity_gap is not None
    assert found.additivity_gap < 1e-6
    assert found.rank_agreement is not None
    assert found.rank_agreement > 0.8
    assert all(check.passed for check in _of_declines(found) if check.name != "disclosed_beats_random")
    told = sum(row["applicants"] for row in found.mix)
    assert len(declined) <= told <= 4 * len(declined)
    assert {row["code"] for row in found.mix} <= set(bundle.reasons.codes.values())
    assert all(draw(found).startswith(b"\x89PNG") for draw in (draw_flips, draw_mix))


def test_a_planted_cause_is_the_first_reason_told(bundle: Bundle, compared: ReferenceSet) -> None:
    assert bundle.explainer is not None
    assert bundle.reasons is not None
    planted = compared.rows[:20].copy()
    planted[:, bundle.feature_names.index("application__score")] = 3.0  # of those drawn nobody is riskier
    assert (bundle.score_float32(planted) >= bundle.policy.decisions.decline_from).all()
    for row in planted:
        told = bundle.reasons.principal(bundle.explainer.contributions(row), row, bundle.categories)
        assert told[0].feature == "application__score"
        assert told[0].text.endswith("higher than for applicants just approved")


def test_reasons_that_are_not_the_model_s_are_found_out(
    bundle: Bundle, declined: np.ndarray, compared: ReferenceSet
) -> None:
    assert bundle.explainer is not None
    shifted = replace(bundle, explainer=replace(bundle.explainer, base=bundle.explainer.base + 1e-3))
    with pytest.raises(ExplanationError, match="add up"):
        measure_fidelity(shifted, declined, compared.rows, np.zeros(declined.shape))
    assert bundle.reasons is not None
    names = [telling.feature for telling in bundle.reasons.tellings]
    swapped = bundle.reasons.tellings[::-1]  # of other features than the model's
    wrong = replace(bundle, reasons=ReasonBook(swapped, bundle.reasons.codes, bundle.reasons.words))
    assert names != [telling.feature for telling in swapped]
    assert not _told_of(wrong).passed
    assert not _told_of(replace(bundle, reasons=None)).passed
    assert _told_of(bundle).passed


def test_of_nobody_nothing_is_said(
    written: Written, bundle: Bundle, declined: np.ndarray, compared: ReferenceSet
) -> None:
    nobody = path_dependent(written.content.model_text, declined[:0])
    found = measure_fidelity(bundle, declined[:0], compared.rows, nobody)
    assert (found.applicants, found.flips, found.beyond_paths, found.rank_agreement) == (0, (), None, None)
    assert all(check.passed and "not applicable" in check.facts["description"] for check in _of_declines(found))
    assert all(draw(found).startswith(b"\x89PNG") for draw in (draw_flips, draw_mix))


@pytest.mark.parametrize(
    ("approved", "disclosed", "gap", "failing"),
    [
        (1.0, 0.9, 0.0, set()),
        (0.999, 0.9, 0.0, {"every_decline_flips"}),
        (1.0, 0.1, 0.0, {"disclosed_beats_random"}),
        (1.0, 0.9, 2e-6, {"contributions_add_up"}),
    ],
)
def test_what_is_not_as_it_should_be_blocks(approved: float, disclosed: float, gap: float, failing: set[str]) -> None:
    flips = (Flips(EVERY, approved, 1.0, 3.0), Flips(DISCLOSED, 0.0, disclosed, 2.0), Flips(RANDOM, 0.0, 0.1, 1.0))
    checks = _of_declines(Fidelity(1000, 32, gap, flips, None, 0.9, ()))
    assert {check.name for check in checks if check.blocks} == failing


def test_few_declines_are_no_evidence_of_a_ranking() -> None:
    flips = (Flips(EVERY, 1.0, 1.0, 3.0), Flips(DISCLOSED, 0.0, 1.0, 2.0), Flips(RANDOM, 0.0, 1.0, 2.0))
    assert not any(check.blocks for check in _of_declines(Fidelity(19, 32, 0.0, flips, None, 0.9, ())))
    assert any(check.blocks for check in _of_declines(Fidelity(20, 32, 0.0, flips, None, 0.9, ())))


@pytest.mark.parametrize(("high", "passed"), [(0.01, True), (-0.01, False)])
def test_a_ranking_surely_below_that_of_tree_paths_is_told_and_blocks_nothing(high: float, passed: bool) -> None:
    flips = (Flips(EVERY, 1.0, 1.0, 3.0), Flips(DISCLOSED, 0.0, 0.9, 2.0), Flips(RANDOM, 0.0, 0.1, 1.0))
    checks = _of_declines(Fidelity(1000, 32, 0.0, flips, Interval(-0.02, -0.03, high), 0.9, ()))
    (told,) = [check for check in checks if check.name == PATHS_CHECK]
    assert (told.passed, told.blocks) == (passed, False)
    assert "-0.0200 (-0.0300 to" in told.facts["description"]


def test_a_reason_that_reaches_a_prohibited_attribute_is_named_unless_the_policy_allows_it() -> None:
    lineage: dict[str, Any] = {"a": {("application", "DAYS_BIRTH")}, "b": {("application", "AMT_CREDIT")}}
    assert reaching(["a", "b"], lineage, {"DAYS_BIRTH"}, allowed={}) == ["a"]
    assert reaching(["a", "b"], lineage, {"DAYS_BIRTH"}, allowed={"a": "the law permits it"}) == []
