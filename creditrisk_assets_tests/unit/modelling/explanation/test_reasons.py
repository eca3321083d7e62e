"""Reasons: one for every feature of the store, specific, and grouped by what names say."""

from collections import Counter
from dataclasses import replace

import pytest

from creditrisk_assets.features.families import applicant_features
from creditrisk_assets.modelling.explanation.reasons import (
    LARGEST_GROUP,
    STATES,
    ReasonError,
    catalogue,
    group_features,
)

SPECS = applicant_features()
NAMES = [spec.name for spec in SPECS]


def test_every_feature_of_the_store_is_told_of_by_a_text_of_its_own() -> None:
    reasons = catalogue(NAMES)
    assert [reason.feature for reason in reasons] == NAMES
    texts = [text for reason in reasons for text in reason.texts.values()]
    assert len(set(texts)) == len(texts)
    for reason, spec in zip(reasons, SPECS, strict=True):
        assert reason.texts.keys() == {*STATES[spec.kind], "missing"}


def test_texts_are_for_applicants_not_for_programmers() -> None:
    for reason in catalogue(NAMES):
        for text in reason.texts.values():
            assert not any(mark in text for mark in ("NULL", ";", "(", "__", "_"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "installments__late_share_365d",
            "Your payments of instalments to us: late instalments per settled one, due in the last 365 days:"
            " higher than for applicants just approved",
        ),
        (
            "bureau__debt_amt_max",
            "Your report from the credit bureau: largest debt of a credit: higher than for applicants just approved",
        ),
    ],
)
def test_a_text_says_source_quantity_window_and_direction(name: str, text: str) -> None:
    (reason,) = catalogue([name])
    assert reason.texts["above"] == text
    assert reason.texts["below"] == text.replace("higher", "lower")


def test_no_group_is_larger_than_allowed_and_none_mixes_families_or_quantities() -> None:
    groups = group_features(NAMES)
    assert max(Counter(groups.values()).values()) <= LARGEST_GROUP
    for name, group in groups.items():
        assert name.split("__")[0] == group.split("__")[0]
    assert groups["installments__late_days_mean"] == groups["installments__late_days_mean_365d"]
    assert groups["installments__late_days_mean"] != groups["installments__late_share"]
    assert groups["application__ext_1_score"] == groups["application__ext_score_mean"]
    assert groups["credit_card__utilisation_ratio_slope_6m"] == groups["credit_card__utilisation_ratio_std"]


def test_a_group_is_the_same_whichever_features_a_model_uses() -> None:
    every = {reason.feature: reason.group for reason in catalogue(NAMES)}
    assert {reason.feature: reason.group for reason in catalogue(NAMES[::7])} == {
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
