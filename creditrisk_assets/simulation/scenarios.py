"""What may differ between one simulated portfolio and the next: named sets of shifts.

What belongs here: the registry of scenarios and their shifts. What does not: the marginals that are shifted (the tables' modules).
"""

from dataclasses import dataclass


class UnknownScenarioError(ValueError):
    """A scenario of that name is not registered."""


@dataclass(frozen=True)
class Scenario:
    """Shifts against the reference portfolio; a field left at its default shifts nothing."""

    name: str
    description: str
    default_log_odds: float = 0.0  # added to every applicant's log-odds of default: a prior shift
    age_scores: float = 0.0  # added to the standard score of age: a covariate shift, as is the next
    wealth_scores: float = 0.0  # added to the standard score of the household's standing


BASELINE = Scenario("baseline", "The reference portfolio: 8.07 % of the training applicants default.")
SCENARIOS = {scenario.name: scenario for scenario in (BASELINE,)}


def scenario_named(name: str) -> Scenario:
    """Find a scenario.

    Raises
    ------
    UnknownScenarioError
        No scenario has this name; the message lists those that exist.
    """
    try:
        return SCENARIOS[name]
    except KeyError:
        known = ", ".join(sorted(SCENARIOS))
        raise UnknownScenarioError(f"scenario {name!r} is not known; choose one of: {known}") from None
