"""The models of the folds, kept: what scores an applicant of the training part without having seen them.

What belongs here: one fold's model as text, its margins, all of them as one JSON file. What does not: fitting them
(`cross_validation`), the model on all rows (`bundle`).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from creditrisk_assets.modelling.booster import Booster, BoosterError
from creditrisk_assets.modelling.bundle import BundleFeature, Encoder, parse_features
from creditrisk_assets.modelling.bundle_writer import render_features


class FoldModelError(RuntimeError):
    """Kept models cannot be read; the message says what to do."""


@dataclass(frozen=True)
class FoldModel:
    """The model of one fold of the first repeat. It has seen everybody but those the fold holds out."""

    fold: int
    features: tuple[BundleFeature, ...]
    model_text: str

    def margins(self, columns: Mapping[str, Sequence[Any] | NDArray[Any]]) -> NDArray[np.float64]:
        """Compute margins of applicants, given as for `Encoder.encode`."""
        return self._booster.margins(self._encoder.encode(columns))

    @cached_property
    def _encoder(self) -> Encoder:
        return Encoder(self.features)

    @cached_property
    def _booster(self) -> Booster:
        return Booster(self.model_text)


@dataclass(frozen=True)
class HeldOut:
    """Some training applicants, each scored by the model of the fold that held them out.

    Attributes
    ----------
    models
        Of the folds.
    folds : (n,)
        The fold of each applicant in the first repeat.

    Raises
    ------
    FoldModelError
        An applicant's fold has no model.
    """

    models: tuple[FoldModel, ...]
    folds: NDArray[np.int64]

    def __post_init__(self) -> None:
        if strangers := sorted(set(self.folds.tolist()) - {model.fold for model in self.models}):
            raise FoldModelError(
                f"no model was kept of folds {strangers}; delete the version of model/out_of_fold and run again"
            )

    @cached_property
    def features(self) -> tuple[BundleFeature, ...]:
        """Every feature that any of the models reads, by name and kind; their categories differ."""
        return tuple({feature.name: feature for model in self.models for feature in model.features}.values())

    def margins(self, columns: Mapping[str, Sequence[Any] | NDArray[Any]]) -> NDArray[np.float64]:
        """Compute the margins of all of them; columns as for `Encoder.encode`."""
        arrays = {feature.name: np.asarray(columns[feature.name]) for feature in self.features}
        margins = np.empty(len(self.folds))
        for model in self.models:
            rows = np.flatnonzero(self.folds == model.fold)
            if len(rows):
                names = (feature.name for feature in model.features)
                margins[rows] = model.margins({name: arrays[name][rows] for name in names})
        return margins


def render_fold_models(models: Iterable[FoldModel]) -> str:
    """Render models as JSON; equal models give equal texts."""
    rows = [{"fold": m.fold, **render_features(m.features), "model_text": m.model_text} for m in models]
    return json.dumps({"models": rows}, sort_keys=True, ensure_ascii=False)


def parse_fold_models(text: str) -> tuple[FoldModel, ...]:
    """Read what `render_fold_models` made.

    Raises
    ------
    FoldModelError
        It is none.
    """
    try:
        models = tuple(FoldModel(m["fold"], parse_features(m), m["model_text"]) for m in json.loads(text)["models"])
        for model in models:
            _ = model._booster
    except (ValueError, KeyError, TypeError, BoosterError) as error:
        raise FoldModelError(
            f"the models of the folds are damaged ({error}); delete the version of model/out_of_fold and run again"
        ) from error
    return models
