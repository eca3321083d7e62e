"""Inputs: a prohibited lineage keeps a feature out, unless the policy allows it by name."""

from datetime import date

import pytest

from creditrisk_assets.modelling.inputs import InputError, ModelInput, choose_inputs
from creditrisk_assets.modelling.policy import Allowance, EligibilityRule, Policy, load_policy

TODAY = date(2026, 5, 3)
POLICY = load_policy().model_copy(update={"monotone": (), "eligibility": ()})  # these few features are none it names
INCOME = ModelInput("application__income_amt", "application", "numeric")
AGE = ModelInput("application__age_days", "application", "numeric")
RATIO = ModelInput("application__employed_age_ratio", "application", "numeric")
LINEAGE = {
    INCOME.name: frozenset({("application_train", "AMT_INCOME_TOTAL")}),
    AGE.name: frozenset({("application_train", "DAYS_BIRTH")}),
    RATIO.name: frozenset({("application_train", "DAYS_BIRTH"), ("application_train", "DAYS_EMPLOYED")}),
}


def allowing(feature: str, expires: date = date(2027, 1, 1)) -> Policy:
    allowance = Allowance(feature=feature, reason="statistically sound system", approver="jane", expires=expires)
    prohibited = POLICY.prohibited.model_copy(update={"allowances": (allowance,)})
    return POLICY.model_copy(update={"prohibited": prohibited})


def test_a_feature_that_reaches_a_prohibited_column_is_kept_for_testing_only() -> None:
    choice = choose_inputs([INCOME, AGE, RATIO], LINEAGE, POLICY, TODAY)
    assert choice.allowed == (INCOME,)
    assert choice.prohibited == (AGE, RATIO)
    assert choice.attributes == {AGE.name: ("DAYS_BIRTH",), RATIO.name: ("DAYS_BIRTH",)}
    assert choice.all == (INCOME, AGE, RATIO)


def test_an_allowance_admits_the_named_feature_alone_and_its_reason_is_kept() -> None:
    choice = choose_inputs([INCOME, AGE, RATIO], LINEAGE, allowing(AGE.name), TODAY)
    assert choice.allowed == (INCOME, AGE)
    assert choice.reasons == {AGE.name: "statistically sound system"}


def test_an_expired_allowance_admits_nothing() -> None:
    assert choose_inputs([INCOME, AGE], LINEAGE, allowing(AGE.name, TODAY), TODAY).prohibited == (AGE,)


def test_unknown_lineage_is_not_clean_lineage() -> None:
    with pytest.raises(InputError, match="application__mystery"):
        choose_inputs([INCOME, ModelInput("application__mystery", "application", "numeric")], LINEAGE, POLICY, TODAY)


def test_an_allowance_for_a_feature_nobody_makes_is_a_mistake() -> None:
    with pytest.raises(InputError, match="application__age_dayz"):
        choose_inputs([INCOME], LINEAGE, allowing("application__age_dayz"), TODAY)


def test_nothing_left_is_an_error() -> None:
    with pytest.raises(InputError, match="nothing is left"):
        choose_inputs([AGE], LINEAGE, POLICY, TODAY)


def test_the_shipped_features_lose_sex_marital_status_and_age() -> None:
    from creditrisk_assets.features.families import applicant_features
    from creditrisk_assets.features.lineage import applicant_lineage

    inputs = [ModelInput(feature.name, feature.family, feature.kind) for feature in applicant_features()]
    choice = choose_inputs(inputs, applicant_lineage(), load_policy(), TODAY)
    columns = {column for found in choice.attributes.values() for column in found}
    assert columns == {"CODE_GENDER", "NAME_FAMILY_STATUS", "DAYS_BIRTH"}
    assert len(choice.allowed) + len(choice.prohibited) == len(inputs)


def ruling(feature: str, policy: Policy = POLICY) -> Policy:
    rule = EligibilityRule(name="too_low", feature=feature, when="below", limit=1, outcome="decline", reason="test")
    return policy.model_copy(update={"eligibility": (rule,)})


def test_a_hard_rule_looks_at_a_number_that_somebody_makes() -> None:
    assert choose_inputs([INCOME], LINEAGE, ruling(INCOME.name), TODAY).allowed == (INCOME,)
    with pytest.raises(InputError, match=r"hard rule too_low looks at application__incom, which no family makes"):
        choose_inputs([INCOME], LINEAGE, ruling("application__incom"), TODAY)
    kind = ModelInput("application__kind_category", "application", "category")
    lineage = {**LINEAGE, kind.name: frozenset()}
    with pytest.raises(InputError, match="application__kind_category, whose categories have no order"):
        choose_inputs([INCOME, kind], lineage, ruling(kind.name), TODAY)


def test_a_hard_rule_rests_on_no_prohibited_attribute_unless_it_is_allowed_by_name() -> None:
    with pytest.raises(InputError, match="made from DAYS_BIRTH: no decision may rest on that"):
        choose_inputs([INCOME, AGE], LINEAGE, ruling(AGE.name), TODAY)
    choose_inputs([INCOME, AGE], LINEAGE, ruling(AGE.name, allowing(AGE.name)), TODAY)
    with pytest.raises(InputError, match="made from DAYS_BIRTH"):
        choose_inputs([INCOME, AGE], LINEAGE, ruling(AGE.name, allowing(AGE.name, TODAY)), TODAY)


def test_where_one_lends_decides_which_attributes_keep_a_feature_out() -> None:
    marital = ModelInput("application__family_status_category", "application", "category")
    lineage = {**LINEAGE, marital.name: frozenset({("application_train", "NAME_FAMILY_STATUS")})}

    def kept_out(*jurisdictions: str) -> tuple[ModelInput, ...]:
        prohibited = POLICY.prohibited.model_copy(update={"jurisdictions": jurisdictions or None})
        policy = POLICY.model_copy(update={"prohibited": prohibited})
        return choose_inputs([INCOME, AGE, marital], lineage, policy, TODAY).prohibited

    assert kept_out() == (AGE, marital)  # none named: all of them
    assert kept_out("US") == (AGE, marital)
    assert kept_out("EU") == (AGE,)


def test_a_prohibited_feature_that_is_planted_under_a_harmless_name_is_kept_out() -> None:
    planted = ModelInput("application__loyalty_score", "application", "numeric")
    lineage = {**LINEAGE, planted.name: frozenset({("application_train", "CODE_GENDER")})}
    assert choose_inputs([INCOME, planted], lineage, POLICY, TODAY).prohibited == (planted,)
