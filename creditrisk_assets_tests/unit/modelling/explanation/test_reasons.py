"""Reasons: one for every feature of the store, specific, and grouped by what names say."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from creditrisk_assets.features.families import applicant_features
from creditrisk_assets.modelling.explanation.principal import LARGEST_GROUP
from creditrisk_assets.modelling.explanation.reasons import (
    WORDS,
    ReasonError,
    catalogue,
    code_of,
    compared,
    group_features,
)

SPECS = applicant_features()
NAMES = [spec.name for spec in SPECS]


def test_every_feature_of_the_store_is_told_of_by_a_text_of_its_own() -> None:
    tellings = catalogue(NAMES).tellings
    assert [telling.feature for telling in tellings] == NAMES
    assert len({telling.said for telling in tellings}) == len(tellings)
    assert [telling.kind for telling in tellings] == [spec.kind for spec in SPECS]


def test_texts_are_for_applicants_not_for_programmers() -> None:
    marks = ["NULL", ";", "(", ")", "_", "×", "/", "normalised", "sentinel", "365243"]
    words = [
        "least squares",
        "the applicant",
        "columns",
        "per ",
        "mean ",
        "standard deviation",
        "social circle",
        "at most 10",
    ]
    for telling in catalogue(NAMES).tellings:
        assert not [mark for mark in (*marks, *words) if mark in telling.said], telling.said


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "installments__late_share_365d",
            "Your payments of instalments to us: late instalments as a share of all settled ones, due in the last 365 days",
        ),
        ("bureau__debt_amt_max", "Your report from the credit bureau: largest debt of a credit"),
        ("application__ext_2_3_score_product", "Scores from credit agencies: scores 2 and 3 taken together"),
        (
            "application__ext_1_employed_days",
            "Scores from credit agencies: score 1 taken together with days in the current job",
        ),
        (
            "application__annuity_income_ext_2_ratio",
            "Scores from credit agencies: instalment compared with yearly income, set against score 2",
        ),
        (
            "application__simple_rate_ratio_min",
            "Your application: yearly rate of interest, at the shortest plausible term of the loan",
        ),
        ("application__has_work_phone", "Your application: you gave a work phone"),
    ],
)
def test_a_text_says_source_quantity_and_window(name: str, said: str) -> None:
    assert catalogue([name]).tellings[0].said == said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("application__income_amt", "amount"),
        ("application__education_category", "category"),
        ("installments__late_share_365d", "share"),
        ("application__has_car", None),
        ("application__ext_2_score", None),
        ("application__ext_1_employed_days", None),
        ("installments__late_share_ratio_90d_365d", None),
        ("credit_card__utilisation_ratio_std", None),
    ],
)
def test_a_value_is_told_where_it_says_something_to_a_person(name: str, value: str | None) -> None:
    assert catalogue([name]).tellings[0].value == value


def test_codes_hang_on_names_alone_and_none_is_given_twice() -> None:
    codes = catalogue(NAMES).codes
    assert catalogue(NAMES[::-3]).codes.items() <= codes.items()
    assert len(set(codes.values())) == len(codes)
    assert codes["bureau__debt_amt"] == code_of("bureau__debt_amt") == "BUR-38E547"


def test_no_group_is_larger_than_allowed_and_none_mixes_families_or_quantities() -> None:
    groups = group_features(NAMES)
    assert max(Counter(groups.values()).values()) <= LARGEST_GROUP
    for name, group in groups.items():
        assert name.split("__")[0] == group.split("__")[0]
    assert groups["installments__late_days_mean"] == groups["installments__late_days_mean_365d"]
    assert groups["installments__late_days_mean"] != groups["installments__late_share"]
    assert groups["application__ext_1_score"] == groups["application__ext_score_mean"]
    assert groups["application__credit_annuity_ext_3_ratio"] == groups["application__goods_credit_ext_mean_ratio"]
    assert groups["credit_card__utilisation_ratio_slope_6m"] == groups["credit_card__utilisation_ratio_std"]


def test_a_group_is_the_same_whichever_features_a_model_uses() -> None:
    every = {one.feature: one.group for one in catalogue(NAMES).tellings}
    assert {one.feature: one.group for one in catalogue(NAMES[::7]).tellings} == {
        name: every[name] for name in NAMES[::7]
    }


def test_an_input_nobody_declared_is_refused() -> None:
    with pytest.raises(ReasonError, match="1 inputs have no declaration, among them bureau__invented_count"):
        catalogue([*NAMES, "bureau__invented_count"])


@pytest.mark.parametrize("change", [{"description": " "}, {"family": "weather"}])
def test_an_input_without_words_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(ReasonError, match=f"{NAMES[0]} has no description"):
        catalogue(NAMES[:1], [replace(SPECS[0], **change)])


def test_two_inputs_of_one_text_are_refused() -> None:
    twin = replace(SPECS[1], description=SPECS[0].description)
    with pytest.raises(ReasonError, match=f"{NAMES[0]} and {NAMES[1]} would be told of by one text"):
        catalogue(NAMES[:2], [SPECS[0], twin])


def test_too_large_a_group_is_refused() -> None:
    with pytest.raises(ReasonError, match="groups of more than 15 features: bureau__debt_amt_level"):
        group_features([f"bureau__debt_amt_mean_{days}d" for days in range(16)])


def test_values_are_compared_with_reference_applicants_who_have_one() -> None:
    numeric, flag = "application__income_amt", "application__has_car"
    rows = np.array([[1, 1], [np.nan, 0], [2, 1], [9, 1]], np.float32)
    first, second = compared(catalogue([numeric, flag]), rows, {numeric: -1}).tellings
    assert (first.median, first.mean, first.monotone) == (2.0, 4.0, -1)
    assert (second.median, second.mean, second.monotone) == (None, None, 0)
    (unknown,) = compared(catalogue([numeric]), np.full((3, 1), np.nan, np.float32), {}).tellings
    assert unknown.median is None


def test_every_state_has_words_of_its_own() -> None:
    assert len(set(WORDS.values())) == len(WORDS)
