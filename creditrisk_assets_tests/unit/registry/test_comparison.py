"""A candidate beside the champion: what blocks it, and what is counted."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from creditrisk_assets.modelling.policy import CanaryLimits, load_policy
from creditrisk_assets.registry.comparison import (
    EVERYBODY,
    Side,
    compare_versions,
    evidence_hash,
    latency_ratio,
    not_compared,
    reasons_mix,
    selection_ratios,
    swap_set,
)
from creditrisk_assets.registry.evidence import Document, Evidence, evidence_problems

POLICY = load_policy()
assert POLICY.canary is not None
LIMITS: CanaryLimits = POLICY.canary.model_copy(update={"resamples": 200})
RANDOM = np.random.default_rng(7)
MARGINS = RANDOM.normal(-2.6, 1.0, 6000)
PDS = 1 / (1 + np.exp(-MARGINS))
TARGET = (RANDOM.random(6000) < PDS).astype(np.int64)
SEX = np.where(np.arange(6000) % 2, "F", "M")


def side(margins: np.ndarray, version: str = "b" * 16) -> Side:
    return Side(version, POLICY, 1 / (1 + np.exp(-margins)))


CHAMPION = side(MARGINS, "a" * 16)


def compare(candidate: Side, limits: CanaryLimits = LIMITS):
    return compare_versions(candidate, CHAMPION, TARGET, {"half": SEX.tolist()}, {"sex": SEX.tolist()}, limits)


def test_a_version_like_the_champion_passes_and_moves_nobody() -> None:
    found = compare(side(MARGINS))
    assert found.problems == ()
    assert (found.figures["swapped_share"], found.figures["grade_jump_share"]) == (0, 0)
    assert np.trace(found.figures["grade_migration"]["applicants"]) == 6000


def test_a_candidate_worse_than_the_margin_is_stopped() -> None:
    noise = np.random.default_rng(1).normal(0, 1.0, 6000)
    found = compare(side(MARGINS + noise))
    assert any("AUC" in problem and "margin 0.01" in problem for problem in found.problems)
    assert any("Brier" in problem for problem in found.problems)


def test_few_applicants_prove_no_non_inferiority() -> None:
    some = slice(0, 200)
    noise = np.random.default_rng(1).normal(0, 0.3, 200)
    one, other = (replace(side(m), pds=1 / (1 + np.exp(-m))) for m in (MARGINS[some] + noise, MARGINS[some]))
    found = compare_versions(one, other, TARGET[some], {}, {}, LIMITS)
    assert any("may be" in problem for problem in found.problems)


@pytest.mark.parametrize(
    ("shift", "words"),
    [
        (0.4, "the approval rate moves by -"),
        (0.4, "the mean PD moves by +"),
        (-0.4, "the approval rate moves by +"),
        (2.0, "two grades or more"),
    ],
)
def test_a_shift_past_a_limit_is_stopped_either_way(shift: float, words: str) -> None:
    assert any(words in problem for problem in compare(side(MARGINS + shift)).problems)


def test_many_swapped_applicants_are_stopped_though_the_rates_agree() -> None:
    swapped = MARGINS.copy()
    order = np.argsort(MARGINS)
    near = order[2500:5500]
    swapped[near] = swapped[near][::-1]
    found = compare(side(swapped))
    assert any("approved by one and not by the other" in problem for problem in found.problems)


def test_a_group_that_loses_approvals_is_named() -> None:
    found = compare(side(MARGINS + np.where(SEX == "F", 0.8, -0.8)))
    assert any(problem.startswith("by sex the lowest approval rate falls") for problem in found.problems)


def test_a_candidate_without_a_number_passes_nothing() -> None:
    broken = replace(side(MARGINS), pds=np.where(np.arange(6000) == 3, np.nan, PDS))
    with pytest.raises(ValueError, match="NaN"):
        compare(broken)


def test_latency_warns_and_neither_blocks_nor_counts_as_evidence() -> None:
    slow = compare_versions(side(MARGINS), CHAMPION, TARGET, {}, {}, LIMITS, latency=9.0)
    fast = compare_versions(side(MARGINS), CHAMPION, TARGET, {}, {}, LIMITS, latency=1.0)
    assert (slow.problems, len(slow.warnings), fast.warnings) == ((), 1, ())
    assert evidence_hash(slow.to_dict()) == evidence_hash(fast.to_dict())
    assert evidence_hash(slow.to_dict()) != evidence_hash(compare(side(MARGINS + 0.01)).to_dict())


def test_the_swap_set_counts_each_way_with_its_bad_rate() -> None:
    before = np.array(["approve", "approve", "decline", "decline", "refer"], dtype=object)
    after = np.array(["decline", "approve", "approve", "decline", "refer"], dtype=object)
    table = swap_set(before, after, np.array([1, 0, 0, 1, 0]), {"region": ["n", "n", "s", "s", None]})
    rows = {(r.segment, r.value, r.champion, r.candidate): r for r in table.itertuples()}
    assert (
        rows[EVERYBODY, "all", "approve", "decline"].applicants,
        rows[EVERYBODY, "all", "approve", "decline"].bad_rate,
    ) == (1, 1)
    assert rows[EVERYBODY, "all", "decline", "approve"].bad_rate == 0
    assert rows["region", "n", "approve", "decline"].share == 0.5
    assert rows["region", "unknown", "refer", "refer"].applicants == 1
    assert table[table.segment == EVERYBODY].applicants.sum() == 5


def test_small_groups_say_nothing() -> None:
    decisions = np.array(["approve"] * 10 + ["decline"] * 2, dtype=object)
    groups = ["a"] * 5 + ["b"] * 5 + ["c"] * 2
    assert selection_ratios(decisions, decisions, groups, 5) == {"champion": 1, "candidate": 1, "shift": 0, "groups": 2}
    assert selection_ratios(decisions, decisions, groups, 6) is None
    assert selection_ratios(decisions, decisions, [None] * 10 + ["c", "c"], 1) is None


def test_reasons_that_shift_most_come_first() -> None:
    rows = reasons_mix(["income", "debt", "debt", "debt"], ["income", "income", "debt", "age of credit"])
    assert rows[0] == {"reason": "debt", "champion": 0.25, "candidate": 0.75}
    assert reasons_mix([], ["income"]) == []


def test_both_are_timed_in_turn() -> None:
    asked: list[str] = []
    assert latency_ratio(lambda _: asked.append("one"), lambda _: asked.append("other"), 3) > 0
    assert asked == ["one", "other"] * 3


def test_without_a_champion_there_is_nothing_to_compare() -> None:
    found = not_compared("b" * 16, None, LIMITS)
    assert (found.champion, found.problems, len(found.swap_set)) == (None, (), 0)
    assert isinstance(found.swap_set, pd.DataFrame)


EVIDENCE = Evidence(
    "b" * 16, "s" * 64, "2026-05-03T10:00:00+00:00", ("comparison", "validation"),
    {name: Document(name, "2026-05-03T11:00:00+00:00") for name in ("comparison", "validation")}, "a" * 16,
)  # fmt: skip


def test_complete_evidence_passes() -> None:
    assert evidence_problems(EVIDENCE, "a" * 16) == []


@pytest.mark.parametrize(
    ("change", "champion", "words"),
    [
        ({"documents": {"comparison": Document("x", "2026-05-03T11:00:00+00:00")}}, "a" * 16, "validation is missing"),
        ({"bundle_made_at": "2026-05-03T12:00:00+00:00"}, "a" * 16, "older than the bundle"),
        ({}, "c" * 16, "the champion is cccccccccccccccc by now"),
        ({"compared_with": None}, "a" * 16, "compared with no champion"),
    ],
)
def test_missing_stale_or_other_evidence_blocks(change: dict, champion: str, words: str) -> None:
    assert any(words in problem.words for problem in evidence_problems(replace(EVIDENCE, **change), champion))


def test_what_speaks_against_a_version_in_a_document_blocks() -> None:
    documents = {**EVIDENCE.documents, "comparison": Document("x", "2026-05-03T11:00:00+00:00", ("it is worse",))}
    assert evidence_problems(replace(EVIDENCE, documents=documents), "a" * 16) == [("comparison", "it is worse")]


def test_the_hash_is_of_version_bundle_and_every_document() -> None:
    other = Document("other", "2026-05-03T11:00:00+00:00")
    changed = [
        replace(EVIDENCE, model_version="c" * 16),
        replace(EVIDENCE, bundle_sha256="t" * 64),
        replace(EVIDENCE, documents={**EVIDENCE.documents, "validation": other}),
    ]
    assert len({EVIDENCE.sha256, *(one.sha256 for one in changed)}) == 4
