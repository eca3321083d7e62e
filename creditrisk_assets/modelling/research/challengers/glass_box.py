"""An explainable boosting machine: a sum of curves, one for each of a few inputs.

What belongs here: its fit. What does not: which inputs are candidates (`information_value`).
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from creditrisk_assets.modelling.configuration import ModelConfig
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.pipeline import new_encoder
from creditrisk_assets.modelling.research.budgets import GlassBoxBudget
from creditrisk_assets.modelling.research.challengers.information_value import choose
from creditrisk_assets.modelling.research.challengers.protocol import encode
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets.modelling.training import TrainingError

if TYPE_CHECKING:
    from creditrisk_assets.modelling.encoder import ApplicantEncoder


TERMS_SHOWN = 20


@dataclass(frozen=True)
class GlassBox:
    """A fitted machine."""

    names: tuple[str, ...]
    encoder: "ApplicantEncoder" = field(repr=False)
    model: Any = field(repr=False)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Inputs it has a curve for."""
        return self.names

    @property
    def account(self) -> Mapping[str, Any]:
        """Terms by the mean size of what they add to the log-odds, largest first."""
        sizes = zip(self.model.term_names_, self.model.term_importances().tolist(), strict=True)
        ordered = sorted(sizes, key=lambda pair: (-pair[1], pair[0]))[:TERMS_SHOWN]
        return {"terms": [{"term": name, "mean_log_odds": size} for name, size in ordered]}

    def pds(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """Compute PDs."""
        matrix = self.encoder.transform(frame[list(self.names)])
        found: NDArray[np.float64] = self.model.predict_proba(matrix.astype(np.float64))[:, 1]
        return found


def fit(
    part: Part, inputs: Sequence[ModelInput], _config: ModelConfig, seed: int, *, budget: GlassBoxBudget
) -> GlassBox:
    """Fit curves to the inputs of largest information value, bound by the policy's signs.

    Raises
    ------
    TrainingError
        As `protocol.encode`, or no input tells anything.
    """
    from interpret.glassbox import ExplainableBoostingClassifier  # noqa: PLC0415 - seconds of imports, for research alone

    encoded = encode(part, inputs)
    chosen = choose(
        encoded,
        count=budget.inputs,
        smallest=budget.smallest_information_value,
        largest_correlation=budget.largest_correlation,
    )
    if not chosen.places:
        raise TrainingError(
            "no input tells enough for a glass box; lower `smallest_information_value` in the research budgets or give"
            " more applicants"
        )
    used = [encoded.inputs[place] for place in chosen.places]
    names = tuple(i.name for i in used)
    model = ExplainableBoostingClassifier(
        feature_names=list(names),
        feature_types=["nominal" if i.kind == "category" else "continuous" for i in used],
        max_bins=budget.bins,
        interactions=budget.interactions,
        outer_bags=budget.bags,
        monotone_constraints=[i.monotone for i in used],
        n_jobs=1,  # the same model by any number, and research shares the machine
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of missing values, which it has a bin for
        model.fit(encoded.matrix[:, list(chosen.places)].astype(np.float64), encoded.labels)
    encoder = new_encoder().fit(part.of(names).frame)
    return GlassBox(names, encoder, model)
