"""Fitting a model: number of trees, fit, what was dropped and why.

What belongs here: one fit on given rows. What does not: estimators (`pipeline`), which rows are held out when
(`cross_validation`), figures on the test part (`evaluation`), MLflow (`registry`).
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from creditrisk_assets.modelling.booster import Booster, leaf_counts, wait_passively
from creditrisk_assets.modelling.bundle import BundleFeature, EncodingError
from creditrisk_assets.modelling.bundle_writer import Row, golden_rows
from creditrisk_assets.modelling.calibration import Calibrator, prior_shift, uncalibrated
from creditrisk_assets.modelling.configuration import ModelConfig
from creditrisk_assets.modelling.folds import Fold, inner_folds
from creditrisk_assets.modelling.inputs import InputChoice, ModelInput
from creditrisk_assets.modelling.pipeline import (
    build_pipeline,
    classifier,
    new_encoder,
    resampled_rate,
    resampling_steps,
)
from creditrisk_assets.modelling.tables import Part

if TYPE_CHECKING:
    from creditrisk_assets.modelling.encoder import ApplicantEncoder

MINIMUM_DEFAULTS = 2
GOLDEN_REFERENCE_ROWS = 1000
CELLS_WORTH_THREADS = 20_000_000  # below, threads wait for one another longer than they work


class TrainingError(ValueError):
    """No model can be trained on this; the message says why and what to do."""


@dataclass(frozen=True)
class TreeSearch:
    """How the number of trees came about."""

    trees: int
    reason: str
    validation_auc: float | None  # at the best iteration of the inner fit


@dataclass(frozen=True)
class TrainedModel:
    """One fitted model and its account."""

    encoder: "ApplicantEncoder" = field(repr=False)
    booster: Any = field(repr=False)  # LightGBM's
    threads: int
    members: tuple[
        int, ...
    ]  # trees of each model whose margins it averages, in the order of their trees; one: it is that model
    inputs: tuple[ModelInput, ...]
    dropped: Mapping[str, str]  # input -> why the model does not use it
    search: TreeSearch
    rows: int
    defaults: int
    config: ModelConfig
    calibrator: Calibrator  # of a fit alone: margins as they are, less what rebalancing did to them

    @cached_property
    def model_text(self) -> str:
        """LightGBM's text; what depends on the machine alone (threads) is set to 0 in it, so equal models have equal texts."""
        text: str = self.booster.model_to_string()
        return re.sub(r"\[num_threads: \d+\]", "[num_threads: 0]", text)

    @property
    def model_hash(self) -> str:
        """SHA-256 of the model text."""
        return hashlib.sha256(self.model_text.encode()).hexdigest()

    @property
    def features(self) -> tuple[BundleFeature, ...]:
        """The encoder as the bundle carries it."""
        categories = self.encoder.categories_
        return tuple(BundleFeature(i.name, i.family, i.kind, categories.get(i.name), i.monotone) for i in self.inputs)

    @property
    def importance(self) -> dict[str, float]:
        """Input -> its share of the gain of all splits, largest first."""
        gains = self.booster.feature_importance("gain")
        total = float(gains.sum()) or 1.0
        pairs = [(i.name, float(gain) / total) for i, gain in zip(self.inputs, gains, strict=True)]
        return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))

    def margins(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """Compute margins (log-odds) by the training library; the frame may hold more columns than the model uses."""
        found: NDArray[np.float64] = self.booster.predict(self.matrix(frame), raw_score=True, num_threads=self.threads)
        return found

    def disagreement(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """Compute how far apart the averaged models are: the standard deviation of their margins.

        Returns
        -------
        ndarray
            (n,) in log-odds; NaN where one model is alone.
        """
        count = len(self.members)
        if count == 1:
            return np.full(len(frame), np.nan)
        encoded, first, margins = self.matrix(frame), 0, []
        for trees in self.members:
            reach = {"start_iteration": first, "num_iteration": trees}
            part = self.booster.predict(encoded, raw_score=True, num_threads=self.threads, **reach)
            margins.append(count * part)
            first += trees
        spread: NDArray[np.float64] = np.std(margins, axis=0, ddof=1)
        return spread

    def predict(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """Compute PDs, as the bundle will: the calibrator applied to margins."""
        return self.calibrator.pds(self.margins(frame))

    def matrix(self, frame: pd.DataFrame) -> NDArray[np.float32]:
        """Encode a frame, which may hold more columns than the model uses: (n, inputs)."""
        return self.encoder.transform(frame[[i.name for i in self.inputs]])

    def golden(self, part: Part) -> list[Row]:
        """Make the bundle's golden rows from training applicants, mixed beyond recognition."""
        reference = part.frame.iloc[:: max(1, len(part) // GOLDEN_REFERENCE_ROWS)]
        values = {i.name: reference[i.name].astype(object).tolist() for i in self.inputs}
        order = [i.name for i in self.inputs]
        return golden_rows(self.features, values, lambda columns: self.predict(_frame(columns, order, self.inputs)))


@dataclass(frozen=True)
class Training:
    """The model, and the one with the prohibited inputs that tells what leaving them out costs (never served)."""

    model: TrainedModel
    comparison: TrainedModel | None


def train(
    part: Part, choice: InputChoice, config: ModelConfig, search: TreeSearch, calibrator: Calibrator, *, threads: int
) -> Training:
    """Fit the model and, where inputs are prohibited, the comparison with them.

    Parameters
    ----------
    part
        The training part with every input of the choice.
    choice
        Inputs allowed and prohibited.
    config
        Hyper-parameters.
    search
        The number of trees, as cross-validation found it (`OutOfFold.search`).
    calibrator
        The map it fitted; the comparison, of which only the AUC is looked at, does without.
    threads
        Threads of LightGBM; the model does not depend on them.

    Raises
    ------
    TrainingError
        No rows, one class, or no input with any information.
    """
    model = replace(fit_model(part, choice.allowed, config, threads=threads, search=search), calibrator=calibrator)
    if not choice.prohibited:
        return Training(model, None)
    return Training(model, fit_model(part, choice.all, config, threads=threads, search=search))


def fit_model(
    part: Part,
    inputs: Sequence[ModelInput],
    config: ModelConfig,
    *,
    threads: int,
    search: TreeSearch | None = None,
    fold: Fold | None = None,
) -> TrainedModel:
    """Fit one model on all rows of a part, or on a fold.

    Parameters
    ----------
    part, inputs, config, threads
        As in `train`. With `seeds` above 1, so many are fitted, and the model averages their margins.
    search
        The number of trees, if it is known already; None: it is found by early stopping inside the part.
    fold
        The fold whose fitted rows the part is. Its model is the one that early stopping stopped on its first inner fold,
        not fitted again with that fold's rows: that would double the cost of cross-validation (docs/model.md).
    """
    if config.seeds > 1:
        alone = [config.alone(number) for number in range(config.seeds)]
        return _averaged([fit_model(part, inputs, c, threads=threads, search=search, fold=fold) for c in alone], config)
    wait_passively()
    target = checked_target(part)
    threads = threads if len(part) * len(inputs) >= CELLS_WORTH_THREADS else 1
    dropped = uninformative(part.frame, [i.name for i in inputs])
    used = tuple(i for i in inputs if i.name not in dropped)
    if not used:
        raise TrainingError("every input is constant or empty; nothing can be learned, so check the features")
    part = part.of([i.name for i in used])
    pipeline = None
    try:
        if search is None:
            search, stopped = stop_early(part, used, config, threads=threads, fold=fold)
            pipeline = stopped if fold else None
        if pipeline is None:
            pipeline = build_pipeline(config, trees=search.trees, threads=threads, monotone=[i.monotone for i in used])
            pipeline.fit(part.frame, target, classify__feature_name=[i.name for i in used])
    except EncodingError as error:
        raise TrainingError(f"the training part cannot be encoded: {error}") from error
    rate = float(target.mean())
    calibrator = uncalibrated(prior_shift(rate, resampled_rate(rate, config)))
    booster, encoder = pipeline.named_steps["classify"].booster_, pipeline.named_steps["encode"]
    members, defaults = (search.trees,), int(target.sum())
    return TrainedModel(
        encoder, booster, threads, members, used, dropped, search, len(part), defaults, config, calibrator
    )


def _averaged(models: Sequence[TrainedModel], config: ModelConfig) -> TrainedModel:
    """Put the models of several seeds, fitted on the same rows, together as one."""
    import lightgbm  # noqa: PLC0415 - seconds of imports, for training alone

    first, texts = models[0], [model.model_text for model in models]
    aucs = [model.search.validation_auc for model in models]
    search = TreeSearch(
        round(float(np.mean([model.search.trees for model in models]))),
        f"the mean of {len(models)} seeds, of which the first: {first.search.reason}",
        None if first.search.validation_auc is None else float(np.mean([auc for auc in aucs if auc is not None])),
    )
    booster = lightgbm.Booster(model_str=Booster.average(texts))
    members = tuple(len(leaf_counts(text)) for text in texts)
    return replace(first, booster=booster, members=members, search=search, config=config)


def uninformative(frame: pd.DataFrame, names: Sequence[str]) -> dict[str, str]:
    """Find columns that cannot tell applicants apart: column -> why."""
    dropped = {}
    for name in names:
        column = frame[name]
        known = column.notna()
        if not known.any():
            dropped[name] = "no value in any training row"
        elif known.all() and column.nunique() == 1:
            dropped[name] = "one value in all training rows"
    return dropped


def stop_early(
    part: Part, inputs: Sequence[ModelInput], config: ModelConfig, *, threads: int, fold: Fold | None = None
) -> tuple[TreeSearch, Any]:
    """Fit on all but the first inner fold of a part, and stop where the log-loss on that fold was best.

    The encoder and the resampling are fitted on the other rows alone. What rebalancing did to the margins is taken back on the
    inner fold: its default rate is the true one, and a log-loss of shifted PDs would stop elsewhere.

    Returns
    -------
    tuple
        The number of trees (for a fold: of the pipeline; else: for a fit on all rows), and the pipeline stopped there,
        None if there were too few defaults to stop on.
    """
    rules, target = config.trees, part.labels
    expected = int(target.sum()) // config.validation.inner_folds
    if expected < rules.minimum_defaults:
        reason = f"fixed: {expected} defaults would be too few to stop on (limit {rules.minimum_defaults})"
        return TreeSearch(rules.fallback, reason, None), None
    from imblearn.pipeline import Pipeline  # noqa: PLC0415 - seconds of imports, for training alone
    from lightgbm import early_stopping  # noqa: PLC0415 - seconds of imports, for training alone

    place = (fold.repeat, fold.number) if fold else (0, 0)
    everybody = Fold(*place, np.arange(len(part)), np.array([], dtype=np.int64))
    inner = next(inner_folds(everybody, part.ids, target, config.validation))
    part, encoder = part.of([i.name for i in inputs]), new_encoder()
    x, y = encoder.fit_transform(part.take(inner.fitted).frame), target[inner.fitted]
    x_validation = encoder.transform(part.take(inner.held_out).frame)
    for _, step in resampling_steps(config):
        x, y = step.fit_resample(x, y)
    model = classifier(config, rules.maximum, threads, [i.monotone for i in inputs])
    stop = early_stopping(rules.stop_after, first_metric_only=True, verbose=False)
    # The log-loss is smoother than the AUC, whose best tree of a few hundred defaults is luck; the AUC is for the record.
    watched = {"eval_X": x_validation, "eval_y": target[inner.held_out], "eval_metric": ["binary_logloss", "auc"]}
    rate = float(target[inner.fitted].mean())
    if shift := prior_shift(rate, resampled_rate(rate, config)):
        watched["eval_init_score"] = [np.full(len(inner.held_out), shift)]
    model.fit(x, y, callbacks=[stop], **watched)
    best = int(model.best_iteration_)
    reason = f"early stopping: best log-loss on {len(inner.held_out)} rows of an inner fold at {best} trees"
    trees = best if fold else min(rules.maximum, round(best * rules.refit_factor))
    search = TreeSearch(trees, reason, float(model.best_score_["valid_0"]["auc"]))
    return search, Pipeline([("encode", encoder), ("classify", model)])


def checked_target(part: Part) -> NDArray[np.int64]:
    """Return TARGET of a part that has both outcomes.

    Raises
    ------
    TrainingError
        It has no rows, or one outcome.
    """
    if not len(part):
        raise TrainingError(
            "the training part has no rows; materialize training/split_train from a source with applications"
        )
    target = part.labels
    defaults = int(target.sum())
    if defaults < MINIMUM_DEFAULTS or len(target) - defaults < MINIMUM_DEFAULTS:
        raise TrainingError(
            f"the training part has {defaults} defaults among {len(target)} applicants; a model needs"
            f" {MINIMUM_DEFAULTS} of each class at least, so give a larger source"
        )
    return target


def _frame(columns: Mapping[str, list[Any]], order: Sequence[str], inputs: Sequence[ModelInput]) -> pd.DataFrame:
    """Make a data frame of lists with None, in the types the encoder was fitted on."""
    kinds = {i.name: i.kind for i in inputs}
    return pd.DataFrame(
        {n: pd.Series(columns[n], dtype=object if kinds[n] == "category" else np.float64) for n in order}
    )
