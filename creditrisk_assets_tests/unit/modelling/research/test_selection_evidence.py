"""Evidence for a selection: what is selected within a fold has not seen those held out, and a flattered figure is told apart."""

import numpy as np
import pandas as pd
import pytest

from creditrisk_assets.modelling.auc import auc_interval
from creditrisk_assets.modelling.configuration import ModelConfig
from creditrisk_assets.modelling.folds import Fold, make_folds
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.research.selection_evidence import gather
from creditrisk_assets.modelling.tables import Part

ROWS, NOISE = 600, 150
RANDOM = np.random.default_rng(4)
INPUTS = tuple(ModelInput(f"application__noise_{number}", "application", "numeric") for number in range(NOISE))
FRAME = pd.DataFrame({i.name: RANDOM.normal(size=ROWS).astype(np.float32) for i in INPUTS})
PART = Part(np.arange(ROWS), (RANDOM.random(ROWS) < 0.3).astype(np.int64), FRAME)


def luckiest(part: Part) -> list[ModelInput]:
    """Select the features that happen to separate these applicants best."""
    aucs = {i: auc_interval(part.labels, part.frame[i.name].to_numpy().astype(float)).value for i in INPUTS}
    return sorted(INPUTS, key=lambda i: -abs(aucs[i] - 0.5))[:10]


@pytest.fixture(scope="module")
def learner(config: ModelConfig) -> ModelConfig:
    return config.with_lightgbm({"min_child_samples": 20, "feature_fraction": 1.0})


def test_luck_is_optimism_and_worth_nothing(learner: ModelConfig) -> None:
    """Every feature is noise: a list of the luckiest looks good on those it was chosen on, and on nobody else."""
    seen: list[Fold] = []

    def select_within(fold: Fold) -> list[ModelInput]:
        seen.append(fold)
        return luckiest(PART.take(fold.fitted))

    found = gather(PART, INPUTS, luckiest(PART), select_within, learner, threads=1)
    assert found.optimism.second == pytest.approx(0.5, abs=0.05)
    assert found.optimism.verdict == "better"
    assert found.worth[0].first == found.optimism.second
    assert found.worth[0].verdict == "undecided"
    assert [one.metric for one in found.worth] == ["auc", "log_loss"]
    assert found.kept == (10,) * learner.validation.folds
    expected = [fold.fitted.tolist() for fold in make_folds(PART.ids, PART.labels, learner.validation)]
    assert [fold.fitted.tolist() for fold in seen] == expected
