"""Reference applicants: those the model just approves, whoever stands where in the table."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from creditrisk_assets.modelling.explanation.explainer import ExplanationError
from creditrisk_assets.modelling.explanation.reference_set import (
    APPLICANTS,
    FEWEST,
    ReferenceSet,
    choose_reference,
    draw,
)
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets.modelling.training import Training
from creditrisk_assets_tests.unit.modelling.conftest import CUT_OFF


def test_they_are_the_approved_applicants_of_the_highest_pds(
    training: Training, part: Part, compared: ReferenceSet
) -> None:
    pds = training.model.predict(part.frame)
    expected = np.sort(pds[pds < CUT_OFF])[::-1][:APPLICANTS]
    assert compared.applicants == len(compared.rows) == APPLICANTS >= FEWEST
    found = training.model.calibrator.pds(training.model.booster.predict(compared.rows, raw_score=True))
    assert np.array_equal(found, expected)
    assert (compared.highest_pd, compared.lowest_pd) == (expected[0], expected[-1])
    assert compared.highest_pd < compared.approve_below == CUT_OFF


def test_the_order_of_the_table_changes_nothing(training: Training, part: Part, compared: ReferenceSet) -> None:
    shuffled = part.take(np.random.default_rng(0).permutation(len(part)))
    assert choose_reference(training.model, shuffled, CUT_OFF).rows.tobytes() == compared.rows.tobytes()


def test_what_is_told_of_them_names_nobody(compared: ReferenceSet) -> None:
    facts = compared.facts()
    assert facts["rows_sha256"] == hashlib.sha256(compared.rows.tobytes()).hexdigest()
    assert facts.keys() == {"applicants", "drawn", "approve_below", "lowest_pd", "highest_pd", "rows_sha256"}


def test_too_few_to_compare_with_are_refused(training: Training, part: Part) -> None:
    with pytest.raises(ExplanationError, match=r"\d+ of 1500 training applicants have a PD below the cut-off 0.0001"):
        choose_reference(training.model, part, 0.0001)


def test_a_draw_hangs_on_ids_alone() -> None:
    ids = np.arange(1000)
    drawn = set(ids[draw(ids, 100)].tolist())
    assert len(drawn) == 100
    assert {*ids[::-1][draw(ids[::-1], 100)].tolist()} == drawn
    fewer = ids[ids != min(drawn)]
    assert drawn - {min(drawn)} <= set(fewer[draw(fewer, 100)].tolist())


def test_facts_follow_the_rows(compared: ReferenceSet) -> None:
    other = replace(compared, rows=compared.rows[::-1].copy())
    assert other.facts()["rows_sha256"] != compared.facts()["rows_sha256"]
