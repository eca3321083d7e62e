"""The default model as one of the contestants: LightGBM exactly as `model/pd` is fitted, before its calibrator.

What belongs here: giving it the face of a challenger. What does not: how it is fitted (`training`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from creditrisk_assets.modelling.configuration import ModelConfig
from creditrisk_assets.modelling.folds import Fold
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets.modelling.training import TrainedModel, fit_model


@dataclass(frozen=True)
class DefaultModel:
    """A fitted default model."""

    model: TrainedModel = field(repr=False)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Inputs it was fitted with; unlike a serving budget, trees read what they like of them."""
        return tuple(i.name for i in self.model.inputs)

    @property
    def account(self) -> Mapping[str, Any]:
        """The number of trees and why."""
        return {"trees": self.model.search.trees, "reason": self.model.search.reason}

    def pds(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """Compute PDs without the calibrator; a rebalancing, if configured, is taken back."""
        return self.model.predict(frame)


def fit(part: Part, inputs: Sequence[ModelInput], config: ModelConfig, _seed: int, *, threads: int = 1) -> DefaultModel:
    """Fit the default model as a fold of the cross-validation is fitted: the model that early stopping stopped."""
    everybody = Fold(0, 0, np.arange(len(part)), np.array([], dtype=np.int64))
    return DefaultModel(fit_model(part, inputs, config, threads=threads, fold=everybody))
