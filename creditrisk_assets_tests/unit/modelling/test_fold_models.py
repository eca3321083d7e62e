"""The models of the folds, kept: their margins are those out of fold, to the bit."""

import numpy as np
import pytest

from creditrisk_assets.modelling.configuration import ModelConfig
from creditrisk_assets.modelling.cross_validation import cross_validate
from creditrisk_assets.modelling.fold_models import (
    FoldModel,
    FoldModelError,
    HeldOut,
    parse_fold_models,
    render_fold_models,
)
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets_tests.unit.modelling.conftest import INPUTS


def test_kept_models_give_the_margins_out_of_fold_to_the_bit(part: Part, config: ModelConfig) -> None:
    twice = config.model_copy(update={"validation": config.validation.model_copy(update={"repeats": 2, "folds": 3})})
    found = cross_validate(part, INPUTS, twice, threads=1)
    kept = parse_fold_models(render_fold_models(found.models))
    first = found.table[found.table["repeat"] == 0]
    some = first.sample(400, random_state=1)
    frame = part.take(np.searchsorted(part.ids, some["sk_id_curr"])).frame
    columns = {name: frame[name].astype(object).where(frame[name].notna(), None).tolist() for name in frame}
    held_out = HeldOut(kept, some["fold"].to_numpy())
    assert [model.fold for model in kept] == [0, 1, 2]
    assert {feature.name for feature in held_out.features} < {item.name for item in INPUTS}
    assert np.array_equal(held_out.margins(columns), some["margin"])
    everybody_s = kept[0].margins(columns)
    assert not np.array_equal(everybody_s, some["margin"])


def test_an_applicant_of_a_fold_without_a_model_is_refused() -> None:
    with pytest.raises(FoldModelError, match=r"no model was kept of folds \[3\]; delete the version"):
        HeldOut((FoldModel(0, (), ""),), np.array([0, 3]))


@pytest.mark.parametrize("text", ["", "{}", '{"models": [{"fold": 0, "features": [], "model_text": "tree\\n"}]}'])
def test_damaged_models_are_refused_with_what_to_do(text: str) -> None:
    with pytest.raises(FoldModelError, match=r"delete the version of model/out_of_fold and run again"):
        parse_fold_models(text)
