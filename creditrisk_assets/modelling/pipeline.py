"""The scikit-learn pipeline: encoding, optional resampling, LightGBM.

What belongs here: how the estimators are put together. What does not: the encoder (`encoder`), which rows and how many trees
(`training`), values of hyper-parameters (`configuration`). Everything learned is learned here, from the rows given to `fit`.
"""

# ruff: noqa: N803 - X is scikit-learn's name for the matrix, and its tools pass it by name

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from creditrisk_assets.modelling.configuration import ModelConfig

if TYPE_CHECKING:
    from creditrisk_assets.modelling.encoder import ApplicantEncoder

Matrix = NDArray[np.float32]
ENCODER = Path(__file__).with_name("encoder.py")  # for code versions, which need its text and not its imports
BALANCED = 0.5  # share of the defaults in the weight of all rows, where classes are weighted


def build_pipeline(config: ModelConfig, *, trees: int, threads: int, monotone: Sequence[int] = ()) -> Any:
    """Put the steps together: `encode`, resampling if configured, `classify`.

    Parameters
    ----------
    config
        Hyper-parameters.
    trees, threads
        Number of trees; threads of the fit (the model does not depend on them).
    monotone
        Sign of each column's constraint; none: no column has one.
    """
    from imblearn.pipeline import Pipeline  # noqa: PLC0415 - seconds of imports, for training alone

    steps = [("encode", new_encoder()), *resampling_steps(config)]
    return Pipeline([*steps, ("classify", classifier(config, trees, threads, monotone))])


def new_encoder() -> "ApplicantEncoder":
    """Make an encoder that has not seen rows yet."""
    from creditrisk_assets.modelling.encoder import ApplicantEncoder  # noqa: PLC0415 - seconds of imports, for fitting alone

    return ApplicantEncoder()


def classifier(config: ModelConfig, trees: int, threads: int, monotone: Sequence[int] = ()) -> Any:
    """Make LightGBM's classifier, fixed so that two fits give one model."""
    from lightgbm import LGBMClassifier  # noqa: PLC0415 - seconds of imports, for training alone

    return LGBMClassifier(
        objective="binary",
        n_estimators=trees,
        random_state=config.seed,
        n_jobs=threads,
        deterministic=True,
        force_col_wise=True,  # each tree looks at a part of the inputs: half the time of row-wise, the same model
        verbosity=-1,
        monotone_constraints=list(monotone) if any(monotone) else None,
        class_weight="balanced" if config.resampling.method == "weighted" else None,
        **config.lightgbm.model_dump(),
    )


def resampling_steps(config: ModelConfig) -> list[tuple[str, Any]]:
    """Make the resampling steps; imbalanced-learn applies them in `fit` alone."""
    chosen = config.resampling
    if chosen.method in {"none", "weighted"}:
        return []
    from imblearn import FunctionSampler  # noqa: PLC0415 - only where configured

    steps: list[tuple[str, Any]] = []
    if chosen.method in {"smote", "smote_undersample"}:
        settings = {"share": chosen.smote_share, "neighbours": chosen.neighbours, "seed": config.seed}
        steps.append(("oversample", FunctionSampler(func=oversample, kw_args=settings, validate=False)))
    if chosen.method in {"undersample", "smote_undersample"}:
        settings = {"share": chosen.minority_share, "seed": config.seed}
        steps.append(("undersample", FunctionSampler(func=undersample, kw_args=settings, validate=False)))
    return steps


def resampled_rate(rate: float, config: ModelConfig) -> float:
    """Compute the default rate, by weight, of the rows the classifier is fitted on, given that of the rows before resampling."""
    chosen = config.resampling
    if chosen.method == "weighted":
        return BALANCED
    if chosen.method in {"smote", "smote_undersample"}:
        rate = max(rate, chosen.smote_share)
    if chosen.method in {"undersample", "smote_undersample"}:
        rate = max(rate, chosen.minority_share)
    return rate


def oversample(
    X: Matrix, y: NDArray[np.int64], *, share: float, neighbours: int, seed: int
) -> tuple[Matrix, NDArray[np.int64]]:
    """Add synthetic defaults by SMOTE until they are a share of the rows; if they are already, add none.

    SMOTE needs complete rows, so medians stand in while neighbours are sought. The real rows keep their missing values:
    the model still learns from them natively, and needs no imputation to score.
    """
    from imblearn.over_sampling import SMOTE  # noqa: PLC0415 - only where configured
    from sklearn.impute import SimpleImputer  # noqa: PLC0415

    if y.mean() >= share:
        return X, y
    complete = SimpleImputer(strategy="median", keep_empty_features=True).fit_transform(X)
    near = min(neighbours, int(y.sum()) - 1)
    sampler = SMOTE(sampling_strategy=share / (1 - share), k_neighbors=near, random_state=seed)
    grown, labels = sampler.fit_resample(complete, y)
    return np.vstack([X, grown[len(X) :].astype(np.float32)]), labels


def undersample(X: Matrix, y: NDArray[np.int64], *, share: float, seed: int) -> tuple[Matrix, NDArray[np.int64]]:
    """Drop non-defaults at random until defaults are a share of the rows; if they are already, drop none."""
    from imblearn.under_sampling import RandomUnderSampler  # noqa: PLC0415 - only where configured

    if y.mean() >= share:
        return X, y
    sampler = RandomUnderSampler(sampling_strategy=share / (1 - share), random_state=seed)
    kept, labels = sampler.fit_resample(X, y)
    return kept, labels
