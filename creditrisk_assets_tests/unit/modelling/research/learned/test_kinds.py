"""What each kind looks at in the feature store, and that the control says nothing new."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from creditrisk_assets.features.families import applicant_features
from creditrisk_assets.features.lineage import applicant_lineage
from creditrisk_assets.modelling.inputs import InputChoice, ModelInput, choose_inputs
from creditrisk_assets.modelling.policy import load_policy
from creditrisk_assets.modelling.research.budgets import load_research
from creditrisk_assets.modelling.research.learned.control import Copies
from creditrisk_assets.modelling.research.learned.crossfit import LearnedError
from creditrisk_assets.modelling.research.learned.history import History
from creditrisk_assets.modelling.research.learned.kinds import (
    COMPARED,
    ENCODED,
    GROUPS,
    KINDS,
    Material,
    learned_columns,
)
from creditrisk_assets.modelling.tables import Part

BUDGET = load_research().ladder.learned.model_copy(update={"trees": 3, "rows_per_leaf": 20, "smallest_group": 20})


@pytest.fixture(scope="module")
def choice() -> InputChoice:
    inputs = [ModelInput(f.name, f.family, f.kind) for f in applicant_features()]
    return choose_inputs(inputs, applicant_lineage(), load_policy(), date(2026, 1, 1))


@pytest.fixture(scope="module")
def material(choice: InputChoice) -> Material:
    """Applicants with every input the policy allows, drawn at random."""
    random = np.random.default_rng(0)
    rows = 300
    columns = {
        item.name: pd.Categorical(random.choice(["x", "y", "z"], rows))
        if item.kind == "category"
        else random.random(rows).astype(np.float32)
        for item in choice.allowed
    }
    target = (random.random(rows) < 0.3).astype(np.int64)
    counts = random.integers(0, 3, rows)
    starts = np.concatenate([[0], np.cumsum(counts)])
    history = History(("x",), starts, random.random((starts[-1], 1)).astype(np.float32))
    part = Part(np.arange(rows), target, pd.DataFrame(columns, copy=False))
    return Material(part, choice.allowed, applicant_lineage(), {"bureau": history})


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_adds_its_columns_to_both_sides_and_leaves_the_features(material: Material, name: str) -> None:
    inside, outside = np.arange(240), np.arange(240, 300)
    fitted, others, inputs = learned_columns(KINDS[name], material.take(inside), material.take(outside), BUDGET, seed=1)
    new = [item.name for item in inputs]
    assert len(set(new)) == len(new) >= 2
    for part, rows in ((fitted, inside), (others, outside)):
        assert list(part.frame) == [*material.part.frame, *new]
        pd.testing.assert_frame_equal(part.frame[list(material.part.frame)], material.part.take(rows).frame)
        assert {str(part.frame[column].dtype) for column in new} == {"float32"}
        assert not np.isinf(part.frame[new].to_numpy()).any()
        assert part.frame[new].notna().any().all()


def test_no_group_reaches_a_prohibited_attribute() -> None:
    lineage, prohibited = applicant_lineage(), load_policy().prohibited.columns
    names = {*COMPARED, *(name for by in (*GROUPS, *ENCODED) for name in by)}
    assert not {column for name in names for _, column in lineage[name]} & prohibited


@pytest.mark.parametrize("name", ["group_relative", "target_encoding"])
def test_a_group_key_that_the_policy_prohibits_is_refused_by_name(
    material: Material, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    sex = (("application__gender_category",),)
    for groups in ("GROUPS", "ENCODED"):
        monkeypatch.setattr(f"creditrisk_assets.modelling.research.learned.kinds.{groups}", sex)
    with pytest.raises(LearnedError, match="application__gender_category is no allowed input"):
        learned_columns(KINDS[name], material, material, BUDGET, seed=1)


def test_only_what_is_written_as_a_table_claims_to_export(material: Material) -> None:
    for kind in KINDS.values():
        transformers = [learner.transformer for learner in kind.learners(material, BUDGET, 1)]
        assert all(hasattr(transformer, "to_table") for transformer in transformers) == kind.exports


def test_the_control_repeats_what_is_there() -> None:
    frame = pd.DataFrame({"a__x": [1.0, 2.0], "a__y": [3.0, np.nan]})
    copies = Copies(2).fit(frame)
    assert list(copies.get_feature_names_out()) == ["x_copy_0", "x_copy_1", "y_copy_0", "y_copy_1"]
    assert np.array_equal(copies.transform(frame), [[1, 1, 3, 3], [2, 2, np.nan, np.nan]], equal_nan=True)
