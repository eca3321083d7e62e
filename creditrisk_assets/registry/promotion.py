"""Whether a registered version becomes champion, as a pure function.

What belongs here: the figures a version is compared by, the decision and its reasons, the record auditors read. What does
not: whether it may be registered at all (`modelling.validation`, which judged it before), MLflow (`versions`), how figures
are measured (`modelling.evaluation`), the limits (the policy).
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

from creditrisk_assets.modelling.evaluation import Evaluation
from creditrisk_assets.modelling.policy import Policy


@dataclass(frozen=True)
class GateFigures:
    """What a version is compared by, measured on the test part it was evaluated on."""

    auc: float
    gini: float
    ks: float
    brier: float
    brier_to_constant: float
    calibration_slope: float
    test_defaults: int
    synthetic: bool = False  # trained and measured on the sample portfolio

    @classmethod
    def of(cls, evaluation: Evaluation, *, synthetic: bool = False) -> Self:
        """Take the figures from an evaluation."""
        return cls(
            auc=evaluation.auc.value,
            gini=evaluation.gini,
            ks=evaluation.ks,
            brier=evaluation.brier,
            brier_to_constant=evaluation.brier_to_constant,
            calibration_slope=evaluation.calibration_slope,
            test_defaults=evaluation.defaults,
            synthetic=synthetic,
        )

    def to_json(self) -> str:
        """Render for a tag of the registry."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote.

        Raises
        ------
        ValueError
            It is not that.
        """
        try:
            return cls(**json.loads(text))
        except TypeError as error:
            raise ValueError("these are not the figures of a gate") from error


@dataclass(frozen=True)
class PromotionDecision:
    """Whether a candidate becomes champion, whether it has all that takes, and every reason."""

    promote: bool
    gate_passed: bool
    reasons: tuple[str, ...]

    @property
    def words(self) -> str:
        """The reasons in one line."""
        return "; ".join(self.reasons)


def decide_promotion(candidate: GateFigures, champion: GateFigures | None, policy: Policy) -> PromotionDecision:
    """Decide whether a candidate becomes champion.

    The candidate passed the gates of registration. The first version becomes champion in any case, so that a new
    installation can score; where its test part has too few defaults to judge by, the reasons say so and `gate_passed` is
    false. Later ones must have enough, and must not lose more AUC to the champion than the policy allows.

    Parameters
    ----------
    candidate
        Figures of the candidate.
    champion
        Figures of the present champion; None when there is none.
    policy
        The limits (gates CR-M12 and CR-M20).
    """
    failures = []
    if candidate.test_defaults < policy.gates.minimum_test_defaults:
        failures.append(
            f"defaults in the test part {candidate.test_defaults} is below {policy.gates.minimum_test_defaults}"
        )
    if champion is None or (champion.synthetic and not candidate.synthetic):
        words = "first version, no champion to compare with"
        if champion is not None:
            words = "first version of real applicants; the champion was trained on the synthetic portfolio"
        missed = tuple(f"gate missed: {failure}" for failure in failures)
        return PromotionDecision(True, not failures, (words, *missed))
    if candidate.synthetic and not champion.synthetic:
        failures.append("it was trained on the synthetic portfolio, the champion on real applicants")
    loss, limit = champion.auc - candidate.auc, policy.gates.maximum_auc_loss
    if not loss <= limit:  # rather than `>`: a figure that is NaN replaces nothing
        failures.append(
            f"AUC {candidate.auc:.4f} is {loss:.4f} below the champion's {champion.auc:.4f} (limit {limit})"
        )
    if failures:
        return PromotionDecision(False, False, ("the champion stays", *failures))
    words = f"AUC {candidate.auc:.4f} against the champion's {champion.auc:.4f}"
    return PromotionDecision(True, True, (words,))


def promotion_record(
    decision: PromotionDecision,
    candidate: GateFigures,
    champion: GateFigures | None,
    *,
    versions: Mapping[str, Any],
    policy: Policy,
    at: datetime,
) -> dict[str, Any]:
    """Make the content of `reports/registry_promotion.json`.

    Parameters
    ----------
    decision, candidate, champion
        What was decided on what.
    versions
        Names to record: registry and model versions of both, run ids.
    policy
        Whose gates; its hash is recorded.
    at
        Time of the decision, with time zone.
    """
    return {
        "at": at.isoformat(timespec="seconds"),
        "promoted": decision.promote,
        "gate_passed": decision.gate_passed,
        "reasons": list(decision.reasons),
        "versions": dict(versions),
        "candidate": asdict(candidate),
        "champion": None if champion is None else asdict(champion),
        "policy": {"sha256": policy.digest, "gates": policy.gates.model_dump(mode="json")},
    }
