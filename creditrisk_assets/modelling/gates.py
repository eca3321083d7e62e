"""The gates between a trained model and the registry: what each claims, who owns it, why, and what to do when it fails.

What belongs here: the declarations, which the policy's overrides name and docs/validation.md prints. What does not: the
limits (`gates` in the policy file), measuring and judging (`validation`). The scoring service imports this module through
the policy, so it holds plain values alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Stops = Literal["registration", "promotion"]

MODELS, RISK, ENGINEERING = "team:credit-models", "team:model-risk", "team:credit-decisions"


@dataclass(frozen=True)
class Gate:
    """One gate.

    Attributes
    ----------
    code
        Stable: reports, overrides and conversations name it.
    title
        What is claimed of a model that passes.
    limits
        The fields of the policy's `gates` it is judged by.
    owner
        Who answers for the limit and signs overrides.
    rationale
        Why a model that fails must not pass.
    remedy
        What to do when it fails.
    statistical
        Its figure is measured on applicants, so that too few defaults tell nothing: then it is not applicable.
    stops
        A failing gate keeps a version out of the registry, or only from replacing the champion.
    never_overridden
        Why no override is accepted; empty: one is.
    """

    code: str
    title: str
    limits: tuple[str, ...]
    owner: str
    rationale: str
    remedy: str
    statistical: bool = False
    stops: Stops = "registration"
    never_overridden: str = ""

    @property
    def check(self) -> str:
        """Its name as an asset check: Dagster's names have no hyphens."""
        return self.code.replace("-", "_")


_AT_REGISTRATION = "it does not keep a version out of the registry, so there is nothing to override; change the limit"

GATES: tuple[Gate, ...] = (
    Gate(
        code="CR-M01",
        title="The AUC on the test part is high enough",
        limits=("minimum_auc",),
        owner=RISK,
        rationale="below it a decision by the model is hardly better than one by chance",
        remedy="compare with the AUC out of fold; if both are low, look at the inputs of largest gain and at what changed in the data",
        statistical=True,
    ),
    Gate(
        code="CR-M02",
        title="The Gini coefficient on the test part is high enough",
        limits=("minimum_gini",),
        owner=RISK,
        rationale="the AUC on the scale that validation reports use; its floor may be set apart",
        remedy="as CR-M01",
        statistical=True,
    ),
    Gate(
        code="CR-M03",
        title="The KS distance on the test part is high enough",
        limits=("minimum_ks",),
        owner=RISK,
        rationale="somewhere on the scale a cut-off must part defaults from others; an AUC may be made of many small steps",
        remedy="look at the score distributions of model/evaluation: a model that ranks within one outcome alone parts nobody",
        statistical=True,
    ),
    Gate(
        code="CR-M04",
        title="The Brier score beats that of predicting the default rate for everybody",
        limits=("maximum_brier_to_constant",),
        owner=RISK,
        rationale="PDs worse than a constant misprice every loan, however well they rank",
        remedy="look at the calibrator's reason in model/out_of_fold; rebalancing without recalibration does this",
        statistical=True,
    ),
    Gate(
        code="CR-M05",
        title="PDs are neither too extreme nor too timid",
        limits=("minimum_calibration_slope", "maximum_calibration_slope"),
        owner=RISK,
        rationale="with a slope below 1 low PDs are too low and high ones too high; prices, provisions and grades follow them",
        remedy="a slope far below 1 is an overfitted model: compare CR-M09; else look at the calibrator's Brier scores",
        statistical=True,
    ),
    Gate(
        code="CR-M06",
        title="The mean PD is the default rate",
        limits=("maximum_calibration_shift",),
        owner=RISK,
        rationale="PDs that are wrong on average make every provision wrong",
        remedy="compare the default rates of training and test part; a prior that was shifted by resampling must be shifted back",
        statistical=True,
    ),
    Gate(
        code="CR-M07",
        title="In every grade the mean PD agrees with the default rate",
        limits=("minimum_grade_p",),
        owner=RISK,
        rationale="a grade is the PD that people act on, so each must be true by itself",
        remedy="look at the grades' plot of model/evaluation; one wrong grade asks for other limits, many for another calibrator",
        statistical=True,
    ),
    Gate(
        code="CR-M08",
        title="No grade defaults less than the one before",
        limits=("minimum_grade_p",),
        owner=RISK,
        rationale="grades that do not order risk price the worse applicant below the better",
        remedy="merge the grades named in the policy's bands, or look for a feature whose meaning changed",
        statistical=True,
    ),
    Gate(
        code="CR-M09",
        title="The AUC on the test part is the one out of fold",
        limits=("maximum_auc_gap",),
        owner=MODELS,
        rationale="a model that does as well on applicants nobody looked at was not fitted to those it was chosen on",
        remedy="lower on the test part: overfitting, or a leak of the training part; higher: look how the parts were split",
        statistical=True,
    ),
    Gate(
        code="CR-M10",
        title="Each fold has the AUC of the others",
        limits=("maximum_fold_auc_gap",),
        owner=MODELS,
        rationale="a model that stands or falls with the rows it sees will not hold for next month's applicants",
        remedy="look at the fold named in model/out_of_fold: few trees there mean an unlucky early stop, so add repeats",
        statistical=True,
    ),
    Gate(
        code="CR-M11",
        title="The approve cut-off stops enough of the defaults",
        limits=("minimum_recall",),
        owner=RISK,
        rationale="a default below `decisions.approve_below` is approved and nobody looks at it",
        remedy="lower the cut-off (model/policy_simulation says what that costs), or improve the model",
        statistical=True,
    ),
    Gate(
        code="CR-M12",
        title="The champion is not much better on the same applicants",
        limits=("maximum_auc_loss",),
        owner=RISK,
        rationale="a champion is not replaced by a model that ranks worse; at registration this is measured again, for the alias",
        remedy="nothing is broken: the champion stays and the version is candidate",
        statistical=True,
        stops="promotion",
        never_overridden=_AT_REGISTRATION,
    ),
    Gate(
        code="CR-M13",
        title="Every leak test was made and passed",
        limits=(),
        owner=MODELS,
        rationale="what knows the outcome is not known at application, so every figure above would be false",
        remedy="docs/leaks.md; a feature that is honestly that strong is allowed by name in model.yaml",
        never_overridden="a model that knows the outcome has no honest figure to weigh an override by",
    ),
    Gate(
        code="CR-M14",
        title="No input reaches a prohibited attribute",
        limits=(),
        owner=RISK,
        rationale="a decision may not rest on it by law",
        remedy="the policy allows a feature by name under `prohibited.allowances`, with a reason, a person and an end",
        never_overridden="the law makes no exception for a gate; an allowance of the policy names the one feature it is for",
    ),
    Gate(
        code="CR-M15",
        title="No PD of the served model moves against the policy's directions",
        limits=(),
        owner=RISK,
        rationale="a decline because somebody improved cannot be explained to anybody",
        remedy="the constraints did not reach the trees: look at `monotone` in the bundle's encoder.json; do not publish",
        never_overridden="a direction that shall not hold is taken out of the policy's `monotone`, where its reason stood",
    ),
    Gate(
        code="CR-M16",
        title="The test part was not opened over and over for this version",
        limits=("maximum_lockbox_openings",),
        owner=RISK,
        rationale="a test part looked at again and again, with changes in between, is a training part",
        remedy="read lockbox.jsonl and ask who evaluated and why; with an honest answer, override and say it there",
    ),
    Gate(
        code="CR-M17",
        title="The model MLflow logged gives the PDs of the bundle",
        limits=("maximum_parity_difference",),
        owner=ENGINEERING,
        rationale="what was evaluated, what is registered and what is served must be one model",
        remedy="train again; if they still differ, an artefact was changed after it was logged, or MLflow changes the inputs",
        never_overridden="the figures of this report would be another model's",
    ),
    Gate(
        code="CR-M18",
        title="The trees fit the serving budget",
        limits=("serving_budget.maximum_leaves",),
        owner=ENGINEERING,
        rationale="time and memory of a request grow with the leaves of all trees",
        remedy="fewer leaves or a larger learning rate in model.yaml; raise the limit after a measurement (`make bench`)",
    ),
    Gate(
        code="CR-M19",
        title="The inputs fit the serving budget",
        limits=("serving_budget.maximum_features",),
        owner=ENGINEERING,
        rationale="every input is computed, stored and explained for every applicant",
        remedy="materialize model/selection, which leaves out inputs without gain; raise the limit after a measurement (`make bench`)",
    ),
    Gate(
        code="CR-M20",
        title="The test part has enough defaults to judge by",
        limits=("minimum_test_defaults",),
        owner=RISK,
        rationale="a figure of few defaults is luck; such a version may be registered, and never replaces a champion",
        remedy="give more applicants with known outcomes",
        stops="promotion",
        never_overridden=_AT_REGISTRATION,
    ),
)
BY_CODE: Mapping[str, Gate] = {gate.code: gate for gate in GATES}
