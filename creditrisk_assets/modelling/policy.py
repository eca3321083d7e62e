"""Credit and model policy: grades, points, cut-offs, prohibited attributes, monotone constraints, gates, approvals, drift, retraining.

What belongs here: the frozen models of `policy.yaml`, their hash, and the decision on a PD. What does not:
hyper-parameters (`model.yaml`), what a gate claims (`gates`) and how it is judged (`validation`), which inputs have a
prohibited lineage (`inputs`). The scoring service imports this module, so it depends on pydantic, yaml and numpy alone.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from string import ascii_uppercase
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from creditrisk_assets.modelling.economics import Economics
from creditrisk_assets.modelling.gates import BY_CODE
from creditrisk_assets.modelling.score_points import ScorePoints

DEFAULT_PATH = Path(__file__).with_name("policy.yaml")

Share = Annotated[float, Field(ge=0, le=1)]
Words = Annotated[str, Field(min_length=1, pattern=r"\S")]
Outcome = Literal["approve", "refer", "decline"]
STRICTNESS: Mapping[Outcome, int] = {"approve": 0, "refer": 1, "decline": 2}
Sign = Literal[-1, 0, 1]  # of a monotone constraint; 0: none


class PolicyError(ValueError):
    """A policy file is missing or does not parse; the message names the file and the field."""


@dataclass(frozen=True)
class Decision:
    """What the policy says of one PD."""

    decision: Outcome
    band: str
    rule: str | None = None  # the hard rule that decided; None: the PD did


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Band(_Frozen):
    """A grade: PDs from the grade before it up to `below`, that value excluded; None closes the scale at 1."""

    name: Words
    below: Share | None


class Decisions(_Frozen):
    """Cut-offs: approve below one PD, decline from another, refer to a person between them."""

    approve_below: Share
    decline_from: Share

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.approve_below > self.decline_from:
            raise ValueError("approve_below must not lie above decline_from")
        return self


class EligibilityRule(_Frozen):
    """A hard rule on one number known at application: whoever it applies to is not approved, whatever the PD."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    feature: Words
    when: Literal["above", "below", "missing"]
    limit: Annotated[float, Field(allow_inf_nan=False)] | None = None  # itself neither above nor below
    outcome: Literal["refer", "decline"]
    reason: Words

    @model_validator(mode="after")
    def _limited(self) -> Self:
        if (self.limit is None) != (self.when == "missing"):
            raise ValueError("`limit` belongs to `above` and `below`, and not to `missing`")
        return self

    @property
    def code(self) -> str:
        """The code of its reason; it hangs on the name alone."""
        return f"RULE-{self.name.upper()}"

    @property
    def told(self) -> str:
        """Its reason as an applicant reads it."""
        return f"{self.reason[0].upper()}{self.reason[1:]}"

    def applies(self, value: float | None) -> bool:
        """Tell whether the rule applies to a value; an unknown one is neither above nor below."""
        if value is None or math.isnan(value):
            return self.when == "missing"
        if self.limit is None:
            return False
        return value > self.limit if self.when == "above" else value < self.limit


class ScaleRules(_Frozen):
    """What the grades must be on applicants with known outcomes; `master_scale` measures it."""

    most_grades: Annotated[int, Field(ge=2, le=len(ascii_uppercase))]  # of a proposal
    minimum_share: Annotated[float, Field(gt=0, lt=0.5)]  # of the applicants in each grade
    maximum_share: Annotated[float, Field(gt=0, le=1)]
    significance: Annotated[float, Field(gt=0, lt=0.5)]  # one-sided, that a grade is riskier than the one before

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.minimum_share >= self.maximum_share:
            raise ValueError("minimum_share must lie below maximum_share")
        return self


class ProhibitedAttribute(_Frozen):
    """A raw column no decision may rest on, with the law that says so: by jurisdiction, or as one text that holds in all."""

    column: Words
    attribute: Words
    jurisdictions: Annotated[dict[Words, Words], Field(min_length=1)] | Words


class Allowance(_Frozen):
    """A feature allowed in spite of its lineage: by name, with a reason, a person and an end."""

    feature: Words
    reason: Words
    approver: Words
    expires: date


class Prohibited(_Frozen):
    """Prohibited attributes, where one lends, and the allowances made."""

    jurisdictions: Annotated[tuple[Words, ...], Field(min_length=1)] | None = None  # none: every one that is named
    attributes: tuple[ProhibitedAttribute, ...]
    allowances: tuple[Allowance, ...] = ()

    @model_validator(mode="after")
    def _known_jurisdictions(self) -> Self:
        known = {name for one in self.attributes if isinstance(one.jurisdictions, dict) for name in one.jurisdictions}
        if strangers := sorted(set(self.jurisdictions or ()) - known):
            raise ValueError(
                f"no attribute names the jurisdictions {', '.join(strangers)}; there are {', '.join(sorted(known))}"
            )
        return self

    @property
    def in_force(self) -> tuple[ProhibitedAttribute, ...]:
        """The attributes that a jurisdiction one lends in prohibits."""
        return tuple(one for one in self.attributes if self._applies(one))

    def _applies(self, attribute: ProhibitedAttribute) -> bool:
        if self.jurisdictions is None or isinstance(attribute.jurisdictions, str):
            return True
        return not attribute.jurisdictions.keys().isdisjoint(self.jurisdictions)

    @property
    def columns(self) -> frozenset[str]:
        """The raw columns prohibited where one lends."""
        return frozenset(attribute.column for attribute in self.in_force)

    def allowed(self, today: date) -> dict[str, Allowance]:
        """Return the allowances in force on a day, by feature; one that expired allows nothing."""
        return {allowance.feature: allowance for allowance in self.allowances if today < allowance.expires}


class Direction(_Frozen):
    """Which way the PD may move with a feature, and why."""

    feature: Words
    pd: Literal["rises", "falls"]
    rationale: Words

    @property
    def sign(self) -> Sign:
        """As LightGBM takes it."""
        return 1 if self.pd == "rises" else -1


class ServingBudget(_Frozen):
    """How large a model may be that answers requests."""

    maximum_features: Annotated[int, Field(ge=1)]
    maximum_leaves: Annotated[int, Field(ge=1)]  # of all trees together


class Gates(_Frozen):
    """The limits a version is judged by before it is registered; `gates.GATES` says what each is for."""

    minimum_auc: Annotated[float, Field(ge=0.5, le=1)]
    minimum_gini: Share
    minimum_ks: Share
    maximum_brier_to_constant: Annotated[float, Field(gt=0, le=1)]
    minimum_calibration_slope: Annotated[float, Field(ge=0)]
    maximum_calibration_slope: Annotated[float, Field(gt=0)]
    maximum_calibration_shift: Annotated[float, Field(ge=0)]  # of log-odds
    minimum_grade_p: Annotated[float, Field(ge=0, lt=0.5)]
    maximum_auc_gap: Share
    maximum_fold_auc_gap: Share
    minimum_recall: Share
    maximum_auc_loss: Share
    maximum_lockbox_openings: Annotated[int, Field(ge=1)]
    maximum_parity_difference: Annotated[float, Field(ge=0)]  # of PDs
    minimum_test_defaults: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.minimum_calibration_slope > self.maximum_calibration_slope:
            raise ValueError("minimum_calibration_slope must not lie above maximum_calibration_slope")
        return self


class Override(_Frozen):
    """A gate set aside: by its code, with a reason, a person and an end."""

    gate: Words
    reason: Words
    approver: Words
    expires: date

    @model_validator(mode="after")
    def _may_be(self) -> Self:
        if (gate := BY_CODE.get(self.gate)) is None:
            raise ValueError(f"{self.gate} is no gate; there are {', '.join(BY_CODE)}")
        if gate.never_overridden:
            raise ValueError(f"{self.gate} may not be overridden: {gate.never_overridden}")
        return self


class TestedAttribute(_Frozen):
    """How the applicants are parted by one prohibited attribute, for tests alone."""

    column: Words
    reference: Words | None = None  # whom the groups are compared with, by name; none: everybody else
    judged: tuple[Words, ...] = ()  # groups the limits hold for; none: all but the reference
    years: tuple[
        Annotated[int, Field(ge=1)], ...
    ] = ()  # the column is days before application: where bands of age begin
    names: dict[Words, Words] = Field(default_factory=dict)  # value -> what people call the group

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if any(low >= high for low, high in pairwise(self.years)):
            raise ValueError("years must rise")
        return self


class FairnessLimits(_Frozen):
    """How alike groups of applicants must be treated; `fairness` measures it."""

    minimum_applicants: Annotated[int, Field(ge=10)]  # of a group
    minimum_outcomes: Annotated[int, Field(ge=5)]  # defaults, and others, of a group
    attributes: Annotated[tuple[TestedAttribute, ...], Field(min_length=1)]
    crossed: tuple[tuple[Words, Words], ...] = ()
    minimum_impact_ratio: Annotated[float, Field(gt=0, le=1)]
    maximum_opportunity_gap: Share
    maximum_mean_difference: Annotated[float, Field(gt=0)]  # of mean PDs, in standard deviations
    minimum_observed_expected: Annotated[float, Field(gt=0, le=1)]
    maximum_observed_expected: Annotated[float, Field(ge=1)]
    maximum_ratio_loss: Share  # of the impact ratio, against the champion
    maximum_proxy_auc: Annotated[float, Field(ge=0.5, le=1)]

    @model_validator(mode="after")
    def _crossed_are_tested(self) -> Self:
        columns = {attribute.column for attribute in self.attributes}
        if strangers := sorted({name for pair in self.crossed for name in pair} - columns):
            raise ValueError(f"crossed names {', '.join(strangers)}, which attributes do not")
        return self


class MonthsRule(_Frozen):
    """Which production months a candidate is compared on, and from how many outcomes a month speaks."""

    recent: Annotated[int, Field(ge=1, le=60)] = 6
    minimum_outcomes: Annotated[int, Field(ge=20)] = 200
    minimum_defaults: Annotated[int, Field(ge=2)] = 20


class CanaryLimits(_Frozen):
    """How far a candidate may be from the champion on the same applicants to take its place."""

    auc_margin: Annotated[float, Field(gt=0, lt=0.5)]  # of non-inferiority
    brier_margin: Annotated[float, Field(gt=0, lt=1)]  # of non-inferiority
    maximum_approval_rate_shift: Share
    maximum_mean_pd_shift: Share
    maximum_swap_share: Share
    maximum_grade_jump_share: Share
    maximum_selection_ratio_loss: Share
    minimum_group: Annotated[int, Field(ge=1)]
    maximum_latency_ratio: Annotated[float, Field(gt=0)]
    latency_rounds: Annotated[int, Field(ge=1)]
    resamples: Annotated[int, Field(ge=100)]
    seed: int
    months: MonthsRule = MonthsRule()


class ShadowLimits(_Frozen):
    """How far a shadow's decisions may be from the champion's, and how surely."""

    error_rate: Annotated[float, Field(gt=0, lt=0.5)]  # of stopping a shadow that is as good as is tolerated
    maximum_approval_rate_shift: Annotated[float, Field(gt=0, lt=1)]
    maximum_mean_pd_shift: Annotated[float, Field(gt=0, lt=1)]
    maximum_brier_loss: Annotated[float, Field(gt=0, lt=1)]
    minimum_pairs: Annotated[int, Field(ge=1)]


class DriftLimits(_Frozen):
    """Effect sizes from which a distribution counts as moved. Those with a default are not in bundles made before them."""

    psi_warn: Annotated[float, Field(gt=0)]
    psi_alert: Annotated[float, Field(gt=0)]
    wasserstein_alert: Annotated[float, Field(gt=0)] = 0.5
    false_discovery_rate: Annotated[float, Field(gt=0, lt=0.5)] = 0.01
    maximum_drifted_share: Share
    maximum_drifted_importance: Share = 0.20
    lost_alert: Annotated[float, Field(gt=0, le=1)] = 0.5
    prior_ratio_alert: Annotated[float, Field(gt=1)] = 1.5
    rank_agreement_alert: Share = 0.7
    domain_auc_alert: Annotated[float, Field(ge=0.5, le=1)] = 0.75
    explained_rows: Annotated[int, Field(ge=50)] = 500
    minimum_rows: Annotated[int, Field(ge=1)]
    sample_rows: Annotated[int, Field(ge=100)]
    reported_inputs: Annotated[int, Field(ge=1, le=100)]
    seed: int

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.psi_warn > self.psi_alert:
            raise ValueError("psi_warn must not lie above psi_alert")
        return self


class RetrainPolicy(_Frozen):
    """How often evidence may start a training."""

    cooldown_hours: Annotated[float, Field(ge=0)]
    maximum_per_30_days: Annotated[int, Field(ge=0)]


class MonitoringRules(_Frozen):
    """From when a figure of a production month counts, and when it calls for a retrain."""

    maturity_months: Annotated[int, Field(ge=1, le=60)] = 3  # from the application until an outcome is known
    complete_share: Share = 0.95  # of the outcomes, from which a month is judged by them
    minimum_applicants: Annotated[int, Field(ge=1)] = 200
    minimum_defaults: Annotated[int, Field(ge=1)] = 20
    smallest_cell: Annotated[int, Field(ge=1)] = 100  # applicants of a group, fewer are insufficient
    tolerated_auc_drop: Share = 0.03  # against the model's own on the test part
    tolerated_bad_rate_ratio: Annotated[float, Field(ge=1)] = 1.25  # realised over expected
    draws: Annotated[int, Field(ge=100, le=10_000)] = 500
    seed: int = 20260101
    attempts: Annotated[int, Field(ge=1, le=5)] = 2  # of a retrain that fails
    new_data_share: Share = 0.05  # more or fewer labelled applicants than the model learned from
    longest_days_without_training: Annotated[int, Field(ge=1)] = 90


class Policy(_Frozen):
    """The policy as one value; equal content has one `digest`."""

    version: Annotated[int, Field(ge=1)]
    bands: Annotated[tuple[Band, ...], Field(min_length=1)]
    master_scale: ScaleRules
    score: ScorePoints
    segments: tuple[Words, ...] = ()
    decisions: Decisions
    eligibility: tuple[EligibilityRule, ...] = ()
    economics: Economics
    prohibited: Prohibited
    monotone: tuple[Direction, ...] = ()
    serving_budget: ServingBudget | None = None  # none: of any size
    gates: Gates
    # Said of a model version, so no part of what a version is: left out of the digest and of the bundle.
    overrides: Annotated[tuple[Override, ...], Field(exclude=True)] = ()
    fairness: FairnessLimits | None = None  # none: a bundle of before there were limits
    # How a version comes into use: no part of what it is, as the overrides.
    approval: Annotated[Literal["auto", "one", "two"], Field(exclude=True)] = "auto"
    canary: Annotated[CanaryLimits | None, Field(exclude=True)] = None  # none: a policy that a bundle carries
    shadow: Annotated[ShadowLimits | None, Field(exclude=True)] = None  # none: a policy that a bundle carries
    drift: DriftLimits
    retraining: RetrainPolicy
    # Said of production, as overrides are said of a version: no part of what a version is.
    monitoring: Annotated[MonitoringRules, Field(exclude=True)] = MonitoringRules()

    @model_validator(mode="after")
    def _bands_cover_the_scale(self) -> Self:
        limits = [band.below for band in self.bands]
        names = [band.name for band in self.bands]
        if limits[-1] is not None or None in limits[:-1]:
            raise ValueError("bands: the last band, and no other, has `below: null`")
        if any(low >= high for low, high in pairwise(limit for limit in limits if limit is not None)):
            raise ValueError("bands: the limits must rise")
        if len(set(names)) != len(names):
            raise ValueError("bands: two bands have the same name")
        return self

    @model_validator(mode="after")
    def _one_direction_each(self) -> Self:
        if twice := sorted({d.feature for d in self.monotone if self.directions[d.feature] is not d}):
            raise ValueError(f"monotone: {', '.join(twice)} is there twice")
        return self

    @model_validator(mode="after")
    def _one_override_each(self) -> Self:
        codes = [override.gate for override in self.overrides]
        if twice := sorted({code for code in codes if codes.count(code) > 1}):
            raise ValueError(f"overrides: {', '.join(twice)} is there twice")
        return self

    def overridden(self, today: date) -> dict[str, Override]:
        """Return the overrides in force on a day, by the gate's code; one that expired sets nothing aside."""
        return {override.gate: override for override in self.overrides if today < override.expires}

    @property
    def directions(self) -> dict[str, Direction]:
        """The monotone constraints by feature."""
        return {direction.feature: direction for direction in self.monotone}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content, whatever the file's layout, but overrides, approval, canary, shadow and the rules of monitoring."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """Render as canonical JSON: what the bundle carries and `digest` hashes."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, indent=1, ensure_ascii=False)

    @model_validator(mode="after")
    def _one_rule_of_a_name(self) -> Self:
        names = [rule.name for rule in self.eligibility]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"eligibility: {', '.join(twice)} is there twice")
        return self

    def decide(self, pd: float, features: Mapping[str, Any] | None = None) -> Decision:
        """Decide on a PD, and on the hard rules before it.

        Parameters
        ----------
        pd
            Probability of default, in [0, 1].
        features
            Of the applicant: at least those the rules look at. None: by the PD alone, as when models are measured.

        Returns
        -------
        Decision
            A rule makes a decision stricter and never milder. Of several the strictest decides, the first among equals.

        Raises
        ------
        ValueError
            The PD is NaN or outside [0, 1]: no decision is made on a broken score.
        KeyError
            A feature that a rule looks at is not among those given.

        Examples
        --------
        >>> load_policy().decide(0.05)
        Decision(decision='approve', band='B')
        """
        if not 0 <= pd <= 1 or math.isnan(pd):
            raise ValueError("a PD lies between 0 and 1; the score is broken, so nothing was decided")
        band = next(band.name for band in self.bands if band.below is None or pd < band.below)
        by_pd: Outcome = "refer"
        if pd < self.decisions.approve_below:
            by_pd = "approve"
        elif pd >= self.decisions.decline_from:
            by_pd = "decline"
        broken = [] if features is None else [r for r in self.eligibility if r.applies(features[r.feature])]
        strictest = max(broken, key=lambda rule: STRICTNESS[rule.outcome], default=None)
        if strictest is None or STRICTNESS[strictest.outcome] <= STRICTNESS[by_pd]:
            return Decision(by_pd, band)
        return Decision(strictest.outcome, band, strictest.name)


def load_policy(path: Path | None = None) -> Policy:
    """Read a policy file.

    Parameters
    ----------
    path
        A YAML file; None: the one beside this module.

    Raises
    ------
    PolicyError
        The file cannot be read or a field is wrong; the message names the file and the field.
    """
    where = path or DEFAULT_PATH
    try:
        content = yaml.load(where.read_text("utf-8"), Loader=yaml.CSafeLoader)  # in C: a run reads it at every turn
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PolicyError(f"the policy file {where} cannot be read: {error}") from error
    return parse_policy(content, where=str(where))


def parse_policy(content: Any, *, where: str) -> Policy:
    """Check a policy already read (from YAML, or from a bundle's JSON).

    Raises
    ------
    PolicyError
        A field is missing, unknown or out of range.
    """
    try:
        return Policy.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'policy'}: {e['msg']}" for e in error.errors())
        raise PolicyError(f"the policy in {where} is not valid: {problems}") from error
