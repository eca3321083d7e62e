"""Which features the model may use.

What belongs here: the choice of inputs by lineage and policy. What does not: the lineage itself (`features.lineage`),
the policy's content (`policy`), dropping features that say nothing (`training`).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date

from creditrisk_assets.modelling.bundle import Kind
from creditrisk_assets.modelling.policy import Policy, Sign

Lineage = Mapping[str, frozenset[tuple[str, str]]]  # feature -> the (raw table, RAW_COLUMN)s it is made from


class InputError(ValueError):
    """The inputs cannot be chosen; the message names the feature."""


@dataclass(frozen=True)
class ModelInput:
    """A feature as the model sees it."""

    name: str
    family: str
    kind: Kind
    monotone: Sign = 0  # which way the PD may move with it


@dataclass(frozen=True)
class InputChoice:
    """The inputs, and what is kept out of the model for tests only."""

    allowed: tuple[ModelInput, ...]
    prohibited: tuple[ModelInput, ...]
    attributes: Mapping[str, tuple[str, ...]]  # prohibited or allowed feature -> the prohibited columns it reaches
    reasons: Mapping[str, str]  # feature allowed in spite of its lineage -> the policy's reason

    @property
    def all(self) -> tuple[ModelInput, ...]:
        """Allowed and prohibited inputs together, for the comparison."""
        return (*self.allowed, *self.prohibited)


def choose_inputs(features: Iterable[ModelInput], lineage: Lineage, policy: Policy, today: date) -> InputChoice:
    """Part the features into inputs of the model and those kept for testing only.

    Parameters
    ----------
    features
        Every feature of the store, in order.
    lineage
        Of every feature; a feature without known lineage is not taken to be clean.
    policy
        Prohibited attributes and the allowances made.
    today
        Allowances that expired by this day allow nothing.

    Raises
    ------
    InputError
        A feature has no lineage; an allowance, a monotone constraint or a hard rule names no feature, or one without an
        order; a hard rule reaches a prohibited attribute; or no feature is left.
    """
    features = tuple(_constrained(features, policy))
    _check_rules({feature.name: feature for feature in features}, lineage, policy, today)
    if unknown := [f.name for f in features if f.name not in lineage]:
        raise InputError(
            f"the lineage of {', '.join(unknown[:5])} is unknown; features.lineage must cover every feature"
        )
    allowances = policy.prohibited.allowed(today)
    names = {f.name for f in features}
    if strangers := sorted({a.feature for a in policy.prohibited.allowances} - names):
        raise InputError(
            f"the policy allows {', '.join(strangers)}, which no family makes; mend its name in the policy file"
        )
    reached = {f.name: sorted({c for _, c in lineage[f.name]} & policy.prohibited.columns) for f in features}
    prohibited = tuple(f for f in features if reached[f.name] and f.name not in allowances)
    allowed = tuple(f for f in features if f not in set(prohibited))
    if not allowed:
        raise InputError("every feature reaches a prohibited attribute; nothing is left to train on")
    return InputChoice(
        allowed=allowed,
        prohibited=prohibited,
        attributes={name: tuple(columns) for name, columns in reached.items() if columns},
        reasons={f.name: allowances[f.name].reason for f in allowed if reached[f.name]},
    )


def _check_rules(features: Mapping[str, ModelInput], lineage: Lineage, policy: Policy, today: date) -> None:
    """Refuse a hard rule that cannot be followed, or may not be."""
    allowances = policy.prohibited.allowed(today)
    for rule in policy.eligibility:
        if rule.feature not in features:
            raise InputError(
                f"the policy's hard rule {rule.name} looks at {rule.feature}, which no family makes; mend the policy file"
            )
        if features[rule.feature].kind == "category":
            raise InputError(
                f"the policy's hard rule {rule.name} looks at {rule.feature}, whose categories have no order; it takes a number"
            )
        reached = sorted({column for _, column in lineage.get(rule.feature, ())} & policy.prohibited.columns)
        if reached and rule.feature not in allowances:
            raise InputError(
                f"the policy's hard rule {rule.name} looks at {rule.feature}, which is made from {', '.join(reached)}: no decision may"
                " rest on that, unless `prohibited.allowances` names the feature"
            )


def _constrained(features: Iterable[ModelInput], policy: Policy) -> Iterator[ModelInput]:
    """Give each feature the sign that the policy sets."""
    directions = policy.directions
    for feature in features:
        direction = directions.pop(feature.name, None)
        if direction is None:
            yield feature
            continue
        if feature.kind == "category":
            raise InputError(
                f"the policy says that the PD {direction.pd} with {feature.name}, whose categories have no order; remove it"
                " from `monotone` in the policy file"
            )
        yield replace(feature, monotone=direction.sign)
    if directions:
        raise InputError(
            f"the policy's `monotone` names {', '.join(sorted(directions))}, which no family makes; mend the name in the"
            " policy file"
        )
