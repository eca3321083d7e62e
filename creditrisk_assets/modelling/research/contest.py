"""Challengers beside the default model: the same folds, the same applicants, paired differences.

What belongs here: fitting and scoring every model on every fold, figures, comparison. What does not: the models (`challengers`), what is
concluded (a check of the asset), pictures (`plots`).

A challenger that fits fewer applicants than there are is compared with a default model fitted on the very same ones, so a difference is
never one of sample size. PDs are measured as each model gives them, and once more after a calibrator fitted on the other folds, as the
default model's is when it is served.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.modelling.auc import Interval, auc_interval
from creditrisk_assets.modelling.calibration import CalibrationError
from creditrisk_assets.modelling.calibration_fitting import cross_fitted_pds, fit_calibrator
from creditrisk_assets.modelling.calibration_tests import SMALLEST_PD, calibration_figures, holm
from creditrisk_assets.modelling.comparison import BRIER, LOG_LOSS, Comparison, compare, compare_auc
from creditrisk_assets.modelling.configuration import ModelConfig
from creditrisk_assets.modelling.folds import Fold, assign_folds
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.research.budgets import research_folds
from creditrisk_assets.modelling.research.challengers.protocol import Challenger
from creditrisk_assets.modelling.research.results import Results
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets.modelling.training import TrainingError

PIECES = 1000  # fitted rows are drawn by thousandths
HALF = 0.5  # the cut-off of a model that takes a rebalanced score for a probability

Outcomes = NDArray[np.int64]
Numbers = NDArray[np.float64]
Say = Callable[[str], None]


@dataclass(frozen=True)
class OutOfFoldPds:
    """One model's PDs of applicants it has not seen, and what they cost. Seconds are of the processor, all folds together."""

    pds: Numbers  # as the model gives them, in the order of the part
    fitted: int  # applicants in the smallest fit
    inputs: int  # of the fit that reads most
    fit_seconds: float
    score_seconds: float
    accounts: tuple[Mapping[str, Any], ...]  # what each fit learned


@dataclass(frozen=True)
class Standing:
    """How one model does, and how beside the default model fitted on the same applicants."""

    name: str
    what: str
    applicants: int
    defaults: int
    scored: OutOfFoldPds
    auc: Interval
    mean_pd: float
    brier: float
    log_loss: float
    expected_calibration_error: float
    calibration_slope: float | None
    calibrated_brier: float
    beside: Comparison  # AUC
    brier_beside: Comparison  # Brier scores, both calibrated

    def row(self) -> dict[str, Any]:
        """Render as a row of the table, without what it cost: that is of the machine."""
        auc, brier = self.beside.difference, self.brier_beside.difference
        return {
            "challenger": self.name,
            "applicants": self.applicants,
            "defaults": self.defaults,
            "fitted": self.scored.fitted,
            "inputs": self.scored.inputs,
            "auc": self.auc.value,
            "auc_low": self.auc.low,
            "auc_high": self.auc.high,
            "default_auc": self.beside.second,
            "auc_difference": auc.value,
            "auc_difference_low": auc.low,
            "auc_difference_high": auc.high,
            "auc_difference_p": self.beside.p_value,
            "mean_pd": self.mean_pd,
            "above_half": float(np.mean(self.scored.pds >= HALF)),
            "brier": self.brier,
            "log_loss": self.log_loss,
            "expected_calibration_error": self.expected_calibration_error,
            "calibration_slope": self.calibration_slope,
            "calibrated_brier": self.calibrated_brier,
            "brier_difference": brier.value,
            "brier_difference_low": brier.low,
            "brier_difference_high": brier.high,
        }

    def cost(self) -> dict[str, Any]:
        """Render what it cost."""
        return {
            "challenger": self.name,
            "fit_processor_seconds": self.scored.fit_seconds,
            "score_microseconds_per_applicant": 1e6 * self.scored.score_seconds / self.applicants,
        }

    def to_dict(self) -> dict[str, Any]:
        """Render everything but the PDs as JSON values."""
        both = {"auc": self.beside.to_dict(), "calibrated_brier": self.brier_beside.to_dict()}
        return {**self.row(), **self.cost(), "what": self.what, "comparison": both, "fits": list(self.scored.accounts)}


def hold_contest(
    part: Part,
    inputs: Sequence[ModelInput],
    config: ModelConfig,
    default: Challenger,
    challengers: Sequence[Challenger],
    results: Results,
    *,
    seed: int,
    say: Say = lambda _: None,
) -> tuple[Standing, ...]:
    """Fit every model on every fold, and compare.

    Parameters
    ----------
    part, inputs, config
        As in `cross_validation.cross_validate`; of the repeats only the first is run.
    default
        The model everything is compared with.
    challengers
        The others.
    results
        Where each fit's PDs are kept, so that a killed run goes on.
    seed
        Of the fits and of the bootstrap.
    say
        Told of every model and fold.

    Returns
    -------
    tuple
        The default model first, then the challengers in the order given.

    Raises
    ------
    TrainingError
        Too few applicants of one outcome for the folds, or a model cannot be fitted: the message names the model.
    """
    arena = _Arena(part, tuple(inputs), config, tuple(research_folds(part, config)), results, seed, say)
    standings = []
    for challenger in (default, *challengers):
        scored = arena.out_of_fold(challenger, challenger.applicants)
        rival = arena.out_of_fold(default, challenger.applicants)
        standings.append(_standing(challenger, part.labels, arena.folds, scored, rival, seed))
    return tuple(standings)


def clearly_better(challengers: Sequence[Standing], significance: float = 0.05) -> tuple[str, ...]:
    """Name the challengers whose AUC is above the default model's by more than chance (DeLong, Holm-adjusted)."""
    adjusted = holm([one.beside.p_value for one in challengers]).tolist()
    return tuple(
        one.name
        for one, p_value in zip(challengers, adjusted, strict=True)
        if p_value < significance and one.beside.difference.value > 0
    )


def limited(part: Part, rows: NDArray[np.int64], most: int | None) -> NDArray[np.int64]:
    """Return as many of the rows as a fit may have, drawn by a hash of the id within each outcome."""
    if most is None or len(rows) <= most:
        return rows
    piece = assign_folds(part.ids[rows], part.labels[rows], PIECES, "contest")
    return rows[piece < int(PIECES * most / len(rows))]


@dataclass(frozen=True)
class _Arena:
    """What every model of a contest meets."""

    part: Part
    inputs: tuple[ModelInput, ...]
    config: ModelConfig
    folds: tuple[Fold, ...]
    results: Results
    seed: int
    say: Say

    def out_of_fold(self, challenger: Challenger, most: int | None) -> OutOfFoldPds:
        """Score everybody by models that have not seen them, fold by fold; what is on disk already is not computed again."""
        pds, found, code = np.empty(len(self.part)), [], code_version(*challenger.code)
        for fold in self.folds:
            fitted = limited(self.part, fold.fitted, most)
            depends_on = {
                **challenger.depends_on,
                "code": code,
                "inputs": [[i.name, i.kind, i.monotone] for i in self.inputs],
                "folds": self.config.validation.model_dump(mode="json"),
                "fitted": len(fitted),
                "seed": self.seed,
            }
            make = partial(self._fit_and_score, challenger, fitted, fold.held_out)
            answer, made = self.results.once(f"{challenger.name}-{fold.number}", depends_on, make)
            how = f"fitted on {len(fitted):,}" if made else "found from before"
            self.say(f"{challenger.name}: fold {fold.number + 1} of {len(self.folds)} {how}")
            pds[fold.held_out] = answer["pds"]
            found.append((len(fitted), answer))
        return OutOfFoldPds(
            pds=pds,
            fitted=min(count for count, _ in found),
            inputs=max(answer["inputs"] for _, answer in found),
            fit_seconds=float(sum(answer["fit_seconds"] for _, answer in found)),
            score_seconds=float(sum(answer["score_seconds"] for _, answer in found)),
            accounts=tuple(answer["account"] for _, answer in found),
        )

    def _fit_and_score(
        self, challenger: Challenger, fitted: NDArray[np.int64], held_out: NDArray[np.int64]
    ) -> dict[str, Any]:
        # One thread: sums of several come in any order, and two runs would differ in the last bits. LightGBM has its own.
        with threadpool_limits(limits=1):
            started = time.process_time()
            try:
                scorer = challenger.fit(self.part.take(fitted), self.inputs, self.config, self.seed)
            except TrainingError as error:
                raise TrainingError(f"{challenger.name} cannot be fitted: {error}") from error
            between = time.process_time()
            pds = scorer.pds(self.part.take(held_out).frame)
            ended = time.process_time()
        return {
            "pds": pds.tolist(),
            "inputs": len(scorer.inputs),
            "fit_seconds": between - started,
            "score_seconds": ended - between,
            "account": scorer.account,
        }


def _standing(
    challenger: Challenger,
    target: Outcomes,
    folds: Sequence[Fold],
    scored: OutOfFoldPds,
    rival: OutOfFoldPds,
    seed: int,
) -> Standing:
    measured = calibration_figures(target, scored.pds)
    calibrated, rival_calibrated = (calibrated_pds(target, one.pds, folds) for one in (scored, rival))
    (brier,) = compare(target, calibrated, rival_calibrated, (BRIER,), seed=seed)
    return Standing(
        name=challenger.name,
        what=challenger.what,
        applicants=len(target),
        defaults=int(target.sum()),
        scored=scored,
        auc=auc_interval(target, scored.pds),
        mean_pd=measured.mean_pd,
        brier=measured.brier,
        log_loss=LOG_LOSS.measure(target, scored.pds),
        expected_calibration_error=measured.expected_calibration_error,
        calibration_slope=measured.slope.value if measured.slope else None,
        calibrated_brier=BRIER.measure(target, calibrated),
        beside=compare_auc(target, scored.pds, rival.pds),
        brier_beside=brier,
    )


def calibrated_pds(target: Outcomes, pds: Numbers, folds: Sequence[Fold]) -> Numbers:
    """Calibrate PDs as the default model's are: by the kind of map it would be served with, fitted on the other folds.

    Raises
    ------
    TrainingError
        All PDs are equal, or too few defaults.
    """
    margins = scipy.special.logit(np.clip(pds, SMALLEST_PD, 1 - SMALLEST_PD))
    number = np.empty(len(target), dtype=np.int64)
    for fold in folds:
        number[fold.held_out] = fold.number
    try:
        fit = fit_calibrator(target, margins, number)
    except CalibrationError as error:
        raise TrainingError(f"PDs out of fold cannot be calibrated: {error}") from error
    return cross_fitted_pds(fit.calibrator.kind, target, margins, number)


def price_of_interpretability(standings: Iterable[Standing], names: Sequence[str]) -> list[dict[str, Any]]:
    """Say what each interpretable model loses to the default one in AUC, with its interval."""
    return [
        {"challenger": one.name, "inputs": one.scored.inputs, **asdict(one.beside.difference)}
        for one in standings
        if one.name in names
    ]
