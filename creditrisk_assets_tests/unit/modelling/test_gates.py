"""The gates' declarations: each has a limit in the policy, a measure, and a row in the docs."""

from pathlib import Path

from creditrisk_assets.defs.vocabulary import OWNERS
from creditrisk_assets.modelling.gates import BY_CODE, GATES, Gate
from creditrisk_assets.modelling.policy import load_policy
from creditrisk_assets.modelling.validation import MEASURES

DOCS = Path(__file__).parents[3] / "docs" / "validation.md"


def test_codes_are_numbered_and_none_is_used_twice() -> None:
    assert list(BY_CODE) == [f"CR-M{number:02d}" for number in range(1, len(GATES) + 1)]


def test_each_gate_is_measured_and_each_measure_is_a_gates() -> None:
    assert list(MEASURES) == list(BY_CODE)


def limits() -> dict[str, float]:
    policy = load_policy()
    assert policy.serving_budget is not None
    budget = policy.serving_budget.model_dump()
    return policy.gates.model_dump() | {f"serving_budget.{name}": limit for name, limit in budget.items()}


def test_each_limit_of_the_policy_is_a_gates_and_each_gates_limit_is_the_policys() -> None:
    assert {name for gate in GATES for name in gate.limits} == set(limits())


def test_each_gate_belongs_to_a_team_there_is() -> None:
    assert {gate.owner for gate in GATES} <= set(OWNERS.values())


def row(gate: Gate) -> str:
    limit = ", ".join(f"`{name}` {limits()[name]:g}" for name in gate.limits) or "none"
    override = f"never: {gate.never_overridden}" if gate.never_overridden else "by its owner"
    anchor = f'<a id="{gate.code.lower()}"></a>{gate.code}'
    cells = (anchor, gate.title, limit, gate.owner, gate.rationale, gate.remedy, override)
    return f"| {' | '.join(cells)} |"


def test_the_docs_have_the_row_of_every_gate_and_no_other() -> None:
    found = [line for line in DOCS.read_text("utf-8").splitlines() if line.startswith("| <a id=")]
    assert found == [row(gate) for gate in GATES]


def test_the_docs_say_which_gates_are_figures_of_applicants_and_which_decide_about_the_alias() -> None:
    text = " ".join(DOCS.read_text("utf-8").split())
    assert "CR-M01 to CR-M12 are figures of applicants" in text
    assert [gate.code for gate in GATES if gate.statistical] == list(BY_CODE)[:12]
    assert "CR-M12 and CR-M20 say beforehand" in text
    assert [gate.code for gate in GATES if gate.stops == "promotion"] == ["CR-M12", "CR-M20"]
