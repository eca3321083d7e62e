"""Principal reasons of referred and declined applicants: the hard rule that decided, then what raised the PD.

What belongs here: their order, their number, when each is told. What does not: ranking and words of the model's reasons
(`modelling.explanation.principal`), of rules (`policy.yaml`), the features beneath (`contributions`).
"""

import numpy as np
from numpy.typing import NDArray

from creditrisk_assets.modelling.bundle import Bundle
from creditrisk_assets.modelling.explanation.principal import MOST, Told
from creditrisk_assets.modelling.policy import Decision, Policy
from creditrisk_serving.decisions.schemas import Reason

RULE = "RULE-"  # how the codes of hard rules begin


def reason_codes(bundle: Bundle) -> tuple[str, ...]:
    """Give all codes a decision by a bundle can have: those of its policy's rules, then those of its model."""
    of_model = () if bundle.reasons is None else tuple(bundle.reasons.codes[group] for group in bundle.reasons.groups)
    return (*(code_of_rule(rule.name) for rule in bundle.policy.eligibility), *of_model)


def code_of_rule(name: str) -> str:
    """Give a hard rule its code, which hangs on its name alone."""
    return f"{RULE}{name.upper()}"


def principal_reasons(
    bundle: Bundle, outcome: Decision, pd: float, contributions: NDArray[np.float64] | None, row: NDArray[np.float32]
) -> list[Reason] | None:
    """Say why an applicant was not approved.

    Parameters
    ----------
    bundle
        What decided.
    outcome
        A referral or decline.
    pd
        The applicant's.
    contributions
        (inputs,) proven to add up to the margin; None: they may not be told.
    row
        (inputs,) as the model saw them.

    Returns
    -------
    list of Reason or None
        At most four. The hard rule that decided comes first; the model's follow if the PD, too, would not have approved. None: nothing
        may be said, because the bundle was made without reasons or its contributions do not add up.
    """
    found = [] if outcome.rule is None else [_of_rule(bundle.policy, outcome.rule)]
    if pd >= bundle.policy.decisions.approve_below and bundle.reasons is not None and contributions is not None:
        told = bundle.reasons.principal(contributions, row, bundle.categories, MOST - len(found))
        found += [_of_model(one) for one in told]
    return found or None


def _of_rule(policy: Policy, name: str) -> Reason:
    text = next(rule.reason for rule in policy.eligibility if rule.name == name)
    return Reason(code_of_rule(name), f"{text[0].upper()}{text[1:]}", name, None, None)


def _of_model(told: Told) -> Reason:
    return Reason(told.code, told.text, told.group, told.contribution, told.value)
