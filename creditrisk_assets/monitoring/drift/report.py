"""The verdict on a table of applicants: feature by feature, by cause, and in words.

What belongs here: what a report holds and what follows from its figures by the policy's limits. What does not: measuring
(`month`), naming causes (`causes`), whether to retrain now (`monitoring.retraining`).

An input drifted where its effect passes a limit beyond what chance makes of so few applicants, and the evidence holds among all columns
looked at (Benjamini and Hochberg). No p-value alone names anything.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from creditrisk_assets.modelling.auc import Interval
from creditrisk_assets.modelling.policy import DriftLimits
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets.monitoring.drift.effects import Effect

Status = Literal["stable", "moving", "drifted", "unknown"]
CauseKind = Literal[
    "missing_feed", "missing_column", "unit_change", "covariate", "prior", "concept", "attribution", "mixture"
]

SCORE, GRADE, DECISION, REASON = "score", "grade", "decision", "reason"
OUTCOMES = (SCORE, GRADE, DECISION, REASON)
FAULTS: frozenset[CauseKind] = frozenset(
    {"missing_feed", "missing_column", "unit_change"}
)  # of data: a retrain would learn them
RUNBOOK = "docs/runbooks/drift.md"
NAMED_IN_WORDS = 5


@dataclass(frozen=True)
class Cause:
    """One thing that happened to the applicants, as far as their data tell.

    Attributes
    ----------
    kind
        A section of the runbook has this name.
    subject
        The raw table or `table.COLUMN` it came through; `score` where it is no single one.
    words
        One line, without values of applicants.
    features
        The inputs that show it, the most important first.
    """

    kind: CauseKind
    subject: str
    words: str
    features: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """What makes it the same cause in another month."""
        return f"{self.kind}:{self.subject}"


@dataclass(frozen=True)
class Attribution:
    """How what features contribute to margins compares with the reference."""

    rows: int
    rank_agreement: float  # Spearman's, of mean |contribution| by feature
    table: pd.DataFrame = field(repr=False, compare=False)  # feature, mean_before, mean_now, psi


@dataclass(frozen=True)
class Domain:
    """How well a model tells current applicants from the reference."""

    rows: int
    auc: Interval
    contributors: Mapping[str, float]  # input -> share of gain, largest first


@dataclass(frozen=True)
class Samples:
    """The bounded samples of both sides, and their PDs."""

    reference: Part
    current: Part
    scores: tuple[Any, Any]


@dataclass(frozen=True)
class DriftReport:
    """What was found, feature by feature and in all."""

    status: Status
    words: str
    reference_rows: int
    current_rows: int
    drifted_share: float  # of the inputs
    drifted_importance: float  # share of the model's gain that rests on them
    score_psi: float
    causes: tuple[Cause, ...] = ()
    prior: Interval | None = None  # default rate expected now over that of the training, if only it had changed
    feeds: Mapping[str, float] = field(
        default_factory=dict
    )  # raw table -> importance of its drifted inputs, largest first
    table: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False, compare=False)
    segments: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False, compare=False)
    attribution: Attribution | None = None
    domain: Domain | None = None
    samples: Samples | None = field(default=None, repr=False, compare=False)

    @property
    def retrain(self) -> bool:
        """Whether the drift calls for a retrain: what is unknown does not, nor does a fault of the data."""
        return self.status == "drifted" and not any(cause.kind in FAULTS for cause in self.causes)

    def to_dict(self) -> dict[str, Any]:
        """Render as JSON values, without tables."""
        return {
            "status": self.status,
            "words": self.words,
            "reference_rows": self.reference_rows,
            "current_rows": self.current_rows,
            "drifted_share": self.drifted_share,
            "drifted_importance": self.drifted_importance,
            "score_psi": self.score_psi,
            "causes": [asdict(cause) | {"features": list(cause.features)} for cause in self.causes],
            "prior": None if self.prior is None else asdict(self.prior),
            "feeds": dict(self.feeds),
            "rank_agreement": None if self.attribution is None else self.attribution.rank_agreement,
            "domain_auc": None if self.domain is None else asdict(self.domain.auc),
            "domain_contributors": {} if self.domain is None else dict(self.domain.contributors),
            "retrain": self.retrain,
        }


@dataclass(frozen=True)
class Column:
    """One column that was compared."""

    name: str
    family: str
    reference_rows: int
    current_rows: int
    effect: Effect
    importance: float


def drift_table(columns: Sequence[Column], limits: DriftLimits) -> pd.DataFrame:
    """Make the table of a report: one row per column, the strongest drift first, as `contracts.drift` declares it."""
    from scipy.stats import false_discovery_control  # noqa: PLC0415 - slow to import, for drift alone

    evidence = false_discovery_control([column.effect.p_value for column in columns]) if columns else []
    rows = [_row(column, float(q), limits) for column, q in zip(columns, evidence, strict=True)]
    table = pd.DataFrame(rows).sort_values(["statistic", "feature"], ascending=[False, True], ignore_index=True)
    inputs = ~table["feature"].isin(OUTCOMES)
    order = table["drifted"].astype(float) * (1 + table["importance"]) + table["importance"] / 1e6
    table["rank"] = order.where(inputs).rank(ascending=False, method="first").astype("Int64")
    return table


def status_of(
    table: pd.DataFrame, causes: Sequence[Cause], rows: int, reference_rows: int, limits: DriftLimits
) -> Status:
    """Tell the status: `unknown` with too few applicants, `drifted` with a cause, `moving` where anything moved."""
    if min(rows, reference_rows) < limits.minimum_rows:
        return "unknown"
    if causes:
        return "drifted"
    score = table.loc[table["feature"] == SCORE, "statistic"]
    return "moving" if bool(table["drifted"].any()) or bool((score >= limits.psi_warn).any()) else "stable"


def words_of(
    status: Status, table: pd.DataFrame, causes: Sequence[Cause], rows: int, reference_rows: int, limits: DriftLimits
) -> str:
    """Say what was found in one line."""
    if status == "unknown":
        return f"no verdict: {reference_rows} reference and {rows} current applicants, where the policy wants {limits.minimum_rows}"
    inputs = table[~table["feature"].isin(OUTCOMES)]
    score = table.loc[table["feature"] == SCORE, "statistic"]
    psi = f"score PSI {float(score.iloc[0]):.3f}, " if len(score) else ""
    share = float(inputs["drifted"].mean()) if len(inputs) else 0.0
    words = f"{status}: {psi}{share:.1%} of inputs drifted"
    if causes:
        return f"{words}; {'; '.join(cause.words for cause in causes)} ({RUNBOOK})"
    named = inputs[inputs["drifted"]].sort_values("rank")["feature"].head(NAMED_IN_WORDS).tolist()
    return f"{words} ({', '.join(named)}{', …' if len(named) == NAMED_IN_WORDS else ''})" if named else words


def _row(column: Column, evidence: float, limits: DriftLimits) -> dict[str, Any]:
    effect = column.effect
    large = effect.psi - effect.expected_psi >= limits.psi_alert or effect.wasserstein >= limits.wasserstein_alert
    enough = min(column.reference_rows, column.current_rows) >= limits.minimum_rows
    return {
        "feature": column.name,
        "family": column.family,
        "method": "psi",
        "statistic": effect.psi,
        "threshold": limits.psi_alert,
        "drifted": bool(large and enough and evidence <= limits.false_discovery_rate),
        "wasserstein": effect.wasserstein if np.isfinite(effect.wasserstein) else np.nan,
        "jensen_shannon": effect.jensen_shannon,
        "expected_psi": effect.expected_psi,
        "evidence": evidence,
        "missing_reference": effect.missing_reference,
        "missing_current": effect.missing_current,
        "importance": column.importance,
    }
