"""The models of the folds, kept: their margins are those out of fold, to the bit."""

import numpy as np
import pytest

from creditrisk_assets.modelling.configuration import ModelConfig
from creditrisk_assets.modelling.cross_validation import cross_validate
from creditrisk_assets.modelling.fold_models import FoldModelError, parse_fold_models, render_fold_models
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets_tests.unit.modelling.conftest import INPUTS


def test_kept_models_give_the_margins_out_of_fold_to_the_bit(part: Part, config: ModelConfig) -> None:
    twice = config.model_copy(update={"validation": config.validation.model_copy(update={"repeats": 2, "folds": 3})})
    found = cross_validate(part, INPUTS, twice, threads=1)
    kept = parse_fold_models(render_fold_models(found.models))
    first = found.table[found.table["repeat"] == 0]
    assert [model.fold for model in kept] == [0, 1, 2]
    for model in kept:
        held_out = first[first["fold"] == model.fold]
        rows = np.searchsorted(part.ids, held_out["sk_id_curr"])
        some = part.take(rows).frame
        columns = {name: some[name].astype(object).where(some[name].notna(), None).tolist() for name in some}
        assert np.array_equal(model.margins(columns), held_out["margin"])


@pytest.mark.parametrize("text", ["", "{}", '{"models": [{"fold": 0, "features": [], "model_text": "tree\\n"}]}'])
def test_damaged_models_are_refused_with_what_to_do(text: str) -> None:
    with pytest.raises(FoldModelError, match=r"delete the version of model/out_of_fold and run again"):
        parse_fold_models(text)
