"""The policy: what it decides, what it refuses to be."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from creditrisk_assets.modelling.configuration import ConfigurationError, load_configuration
from creditrisk_assets.modelling.policy import DEFAULT_PATH, Decision, Policy, PolicyError, load_policy, parse_policy


@pytest.fixture
def content() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(DEFAULT_PATH.read_text())
    return found


@pytest.mark.parametrize(
    ("pd", "decision"),
    [
        (0.0, Decision("approve", "A")),
        (0.03, Decision("approve", "B")),
        (0.1199, Decision("approve", "C")),
        (0.12, Decision("refer", "D")),
        (0.2999, Decision("refer", "E")),
        (0.30, Decision("decline", "E")),
        (1.0, Decision("decline", "E")),
    ],
)
def test_limits_belong_to_the_worse_side(pd: float, decision: Decision) -> None:
    assert load_policy().decide(pd) == decision


@pytest.mark.parametrize("pd", [float("nan"), -0.1, 1.1, float("inf")])
def test_a_broken_score_decides_nothing(pd: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        load_policy().decide(pd)


def test_the_hash_follows_the_content_and_not_the_layout(content: dict[str, Any], tmp_path: Path) -> None:
    same = tmp_path / "policy.yaml"
    same.write_text(yaml.safe_dump(content))
    assert load_policy(same).digest == load_policy().digest
    content["decisions"]["decline_from"] = 0.4
    assert parse_policy(content, where="test").digest != load_policy().digest


def test_the_policy_survives_its_json() -> None:
    import json

    policy = load_policy()
    of_no_version = {
        "approval": "auto",
        "canary": None,
        "shadow": None,
        "overrides": (),
    }  # how one comes into use is not what it is
    assert parse_policy(json.loads(policy.to_json()), where="test") == policy.model_copy(update=of_no_version)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("decisions", "approve_below"), 0.5, "approve_below must not lie above"),
        (("bands",), [{"name": "A", "below": 0.1}], "the last band"),
        (("bands",), [{"name": "A", "below": 0.2}, {"name": "B", "below": 0.1}, {"name": "C", "below": None}], "rise"),
        (("bands",), [{"name": "A", "below": 0.1}, {"name": "A", "below": None}], "same name"),
        (("gates", "minimum_auc"), 0.4, r"gates\.minimum_auc"),
        (("gates", "minimum_luck"), 1, r"gates\.minimum_luck"),
        (("gates", "minimum_calibration_slope"), 1.5, "minimum_calibration_slope must not lie above"),
        (("drift", "psi_warn"), 0.9, "psi_warn"),
        (("score", "points_to_double"), 0, r"score\.points_to_double"),
        (("master_scale", "minimum_share"), 0.7, r"master_scale"),
    ],
)
def test_a_wrong_field_is_named(content: dict[str, Any], path: tuple[str, ...], value: object, words: str) -> None:
    section = content
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    with pytest.raises(PolicyError, match=words):
        parse_policy(content, where="policy.yaml")


def test_a_missing_policy_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="nowhere"):
        load_policy(tmp_path / "nowhere.yaml")


def test_an_allowance_ends_with_its_day(content: dict[str, Any]) -> None:
    given = {"feature": "f", "reason": "r", "approver": "a", "expires": "2026-05-03"}
    content["prohibited"]["allowances"] = [given]
    prohibited = parse_policy(content, where="test").prohibited
    assert set(prohibited.allowed(date(2026, 5, 2))) == {"f"}
    assert prohibited.allowed(date(2026, 5, 3)) == {}


@pytest.mark.parametrize("missing", ["reason", "approver", "expires"])
def test_an_allowance_needs_reason_approver_and_end(content: dict[str, Any], missing: str) -> None:
    given = {"feature": "f", "reason": "r", "approver": "a", "expires": "2026-05-03"}
    content["prohibited"]["allowances"] = [{key: value for key, value in given.items() if key != missing}]
    with pytest.raises(PolicyError, match=missing):
        parse_policy(content, where="test")


def override(gate: str = "CR-M05", **changes: str) -> dict[str, str]:
    return {"gate": gate, "reason": "r", "approver": "a", "expires": "2026-05-03", **changes}


def test_an_override_ends_with_its_day(content: dict[str, Any]) -> None:
    content["overrides"] = [override()]
    policy = parse_policy(content, where="test")
    assert set(policy.overridden(date(2026, 5, 2))) == {"CR-M05"}
    assert policy.overridden(date(2026, 5, 3)) == {}


def test_an_override_makes_no_other_policy(content: dict[str, Any]) -> None:
    content["overrides"] = [override()]
    policy = parse_policy(content, where="test")
    assert policy.digest == load_policy().digest
    assert "overrides" not in policy.to_json()


def test_who_approves_and_how_far_a_candidate_may_be_make_no_other_version() -> None:
    content = yaml.safe_load(DEFAULT_PATH.read_text("utf-8"))
    content["approval"] = "two"
    content["canary"]["auc_margin"] = 0.2
    policy = parse_policy(content, where="test")
    assert (policy.approval, policy.digest) == ("two", load_policy().digest)
    content["approval"] = "nobody"
    with pytest.raises(PolicyError, match="approval"):
        parse_policy(content, where="test")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([override("CR-M99")], "CR-M99 is no gate; there are CR-M01, CR-M02"),
        ([override("CR-M13")], "CR-M13 may not be overridden: a model that knows the outcome"),
        ([override("CR-M14")], "CR-M14 may not be overridden: the law"),
        ([override("CR-M17")], "CR-M17 may not be overridden: the figures of this report"),
        ([override("CR-M12")], "CR-M12 may not be overridden: it does not keep a version out"),
        ([override(), override()], "overrides: CR-M05 is there twice"),
        ([override(approver=" ")], r"overrides\.0\.approver"),
        ([{"gate": "CR-M05", "reason": "r", "approver": "a"}], r"overrides\.0\.expires"),
    ],
)
def test_an_override_that_may_not_be_is_refused(
    content: dict[str, Any], given: list[dict[str, str]], words: str
) -> None:
    content["overrides"] = given
    with pytest.raises(PolicyError, match=words):
        parse_policy(content, where="policy.yaml")


def test_the_model_configuration_names_a_wrong_field(tmp_path: Path) -> None:
    path = tmp_path / "model.yaml"
    path.write_text("version: 1\nseed: -1\n")
    with pytest.raises(ConfigurationError, match="seed"):
        load_configuration(path)
    with pytest.raises(ConfigurationError, match="nowhere"):
        load_configuration(tmp_path / "nowhere.yaml")


def rule(name: str, when: str, outcome: str, limit: float | None = None) -> dict[str, object]:
    return {"name": name, "feature": "x", "when": when, "limit": limit, "outcome": outcome, "reason": "test"}


def ruled(*rules: dict[str, object]) -> Policy:
    return parse_policy({**load_policy().model_dump(mode="json"), "eligibility": list(rules)}, where="test")


@pytest.mark.parametrize(
    ("value", "pd", "expected"),
    [
        (5.0, 0.01, Decision("approve", "A")),
        (10.0, 0.01, Decision("approve", "A")),  # the limit itself is neither above nor below
        (10.5, 0.01, Decision("refer", "A", "high")),
        (-1, 0.01, Decision("decline", "A", "negative")),
        (-1, 0.2, Decision("decline", "D", "negative")),
        (10.5, 0.2, Decision("refer", "D")),  # the PD says so by itself
        (10.5, 0.9, Decision("decline", "E")),  # and is never made milder
        (None, 0.01, Decision("refer", "A", "unknown")),
        (float("nan"), 0.01, Decision("refer", "A", "unknown")),
        (200.0, 0.01, Decision("decline", "A", "far_too_high")),  # the strictest decides
        (True, 0.01, Decision("approve", "A")),
    ],
)
def test_a_hard_rule_makes_a_decision_stricter_and_never_milder(value, pd: float, expected: Decision) -> None:
    policy = ruled(
        rule("high", "above", "refer", 10),
        rule("negative", "below", "decline", 0),
        rule("unknown", "missing", "refer"),
        rule("far_too_high", "above", "decline", 100),
    )
    assert policy.decide(pd, {"x": value, "y": 1}) == expected
    assert policy.decide(pd).rule is None


def test_of_equal_rules_the_first_is_named() -> None:
    policy = ruled(rule("one", "above", "refer", 1), rule("two", "above", "refer", 0))
    assert policy.decide(0.01, {"x": 5}).rule == "one"


def test_a_feature_a_rule_looks_at_must_be_there() -> None:
    with pytest.raises(KeyError):
        ruled(rule("one", "above", "refer", 1)).decide(0.01, {"y": 5})


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ([rule("one", "above", "refer")], "`limit` belongs to `above` and `below`"),
        ([rule("one", "missing", "refer", 1)], "not to `missing`"),
        ([rule("one", "missing", "refer"), rule("one", "missing", "decline")], "one is there twice"),
        ([rule("One rule", "missing", "refer")], "eligibility.0.name"),
        ([rule("one", "missing", "approve")], "eligibility.0.outcome"),
    ],
)
def test_a_rule_that_says_nothing_clear_is_refused(rules, words: str) -> None:
    with pytest.raises(PolicyError, match=words):
        ruled(*rules)


def test_a_jurisdiction_that_no_attribute_names_is_a_mistake(content: dict[str, Any]) -> None:
    content["prohibited"]["jurisdictions"] = ["Atlantis"]
    with pytest.raises(PolicyError, match="Atlantis; there are EU, UK, US"):
        parse_policy(content, where="test")


def test_a_policy_of_before_jurisdictions_were_told_apart_still_holds_everywhere(content: dict[str, Any]) -> None:
    for attribute in content["prohibited"]["attributes"]:
        attribute["jurisdictions"] = "US: ECOA"
    del content["prohibited"]["jurisdictions"], content["fairness"]
    policy = parse_policy(content, where="test")
    assert policy.prohibited.columns == load_policy().prohibited.columns
    assert policy.fairness is None


def test_groups_that_are_crossed_must_be_tested(content: dict[str, Any]) -> None:
    content["fairness"]["crossed"] = [["CODE_GENDER", "NAME_HOUSING_TYPE"]]
    with pytest.raises(PolicyError, match="NAME_HOUSING_TYPE"):
        parse_policy(content, where="test")
