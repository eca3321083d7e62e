"""The recipe this platform descends from, to measure what was wrong with it: SMOTE, no recalibration, a cut at 0.5.

What belongs here: its inputs as far as this feature store has them, its imputation, resampling and learner. What does not: anything one
should imitate.

The recipe: 92 features, 162 columns after one-hot encoding; medians for missing numbers; SMOTE until defaults are a fifth of the
others, then others dropped at random to parity; gradient boosting, 500 trees of depth 5, learning rate 0.05, 80 % of rows and columns;
PDs as they come.

What differs, because inputs here are chosen by policy and lineage: age, sex and marital status, which it used, are prohibited and no
input of any model. The first external score, which it forgot, is left out as it was. Where a feature has no exact counterpart, the
nearest stands for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from creditrisk_assets.modelling.configuration import ModelConfig
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.pipeline import Matrix, oversample, undersample
from creditrisk_assets.modelling.research.budgets import AncestorBudget
from creditrisk_assets.modelling.research.challengers.protocol import Encoded, encode
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets.modelling.training import TrainingError

CUT_OFF = 0.5
SMOTE_SHARE = 1 / 6  # one default to five others
PARITY = 0.5
NEIGHBOURS = 5
LEARNING_RATE, ROWS_PER_TREE, COLUMNS_PER_SPLIT = 0.05, 0.8, 0.8

_DOCUMENTS = tuple(f"application__has_document_{number}" for number in range(2, 22))
FEATURES = (
    "application__ext_2_score",
    "application__ext_3_score",
    "application__annuity_amt",
    "application__credit_amt",
    "application__goods_price_amt",
    "application__income_amt",
    "application__employed_days",
    "application__registration_days",
    "application__id_publish_days",
    "application__phone_change_days",
    "application__children_count",
    "application__family_members_count",
    "application__region_rating_level",
    "application__city_rating_level",
    "application__region_population_ratio",
    "application__process_start_hours",
    "application__process_start_weekday_category",
    "application__income_type_category",
    "application__education_category",
    "application__housing_category",
    "application__contract_type_category",
    "application__has_car",
    "application__has_realty",
    "application__is_reg_region_not_live_region",
    "application__is_reg_region_not_work_region",
    "application__is_live_region_not_work_region",
    "application__is_reg_city_not_live_city",
    "application__is_reg_city_not_work_city",
    "application__is_live_city_not_work_city",
    "application__mismatches_count",
    "application__circle_observed_30d_count",
    "application__circle_default_30d_count",
    "application__circle_observed_60d_count",
    "application__circle_default_60d_count",
    "application__enquiries_hour_count",
    "application__enquiries_day_count",
    "application__enquiries_week_count",
    "application__enquiries_month_count",
    "application__enquiries_quarter_count",
    "application__enquiries_year_count",
    "application__has_mobile",
    "application__has_employer_phone",
    "application__has_work_phone",
    "application__has_reachable_mobile",
    "application__has_home_phone",
    "application__has_email",
    "application__contacts_count",
    *_DOCUMENTS,
    "application__documents_count",
    "application__missing_count",
    "application__is_without_employment",
    "application__annuity_credit_ratio",
    "application__credit_income_ratio",
    "application__annuity_income_ratio",
    "application__goods_credit_ratio",
    "application__income_per_member_amt",
    "application__children_member_ratio",
    "application__has_ext_1_score",
    "application__has_ext_2_score",
    "application__has_ext_3_score",
    "application__has_car_age",
    "bureau__active_credits_count",
    "bureau__closed_credits_count",
    "bureau__opened_days_min",
    "bureau__updated_days_min",
    "bureau__debt_amt_sum",
    "bureau__credit_amt_sum",
    "bureau__limit_amt_sum",
    "bureau__overdue_amt_sum",
    "bureau__prolongations_count",
    "bureau__debt_credit_ratio_mean",
    "bureau__worst_overdue_amt_max",
    "bureau__dpd_share_mean",
    "bureau__worst_status_level",
    "bureau__last_dpd_months_min",
    "previous_application__applications_count",
    "previous_application__approved_count",
    "previous_application__refused_count",
    "previous_application__cancelled_count",
    "previous_application__unused_count",
    "previous_application__asked_credit_ratio_mean",
    "previous_application__down_payment_credit_ratio_mean",
    "previous_application__term_months_mean",
    "previous_application__decided_days_min",
    "previous_application__decided_days_max",
    "previous_application__approved_share",
    "previous_application__refused_share",
    "installments__paid_due_ratio_mean",
    "installments__paid_due_ratio_std",
    "installments__late_days_mean",
    "installments__late_days_max",
    "installments__late_share",
    "installments__severe_late_share",
    "credit_card__utilisation_ratio_mean",
    "credit_card__utilisation_ratio_max",
    "credit_card__paid_minimum_ratio_mean",
    "credit_card__minimum_met_share",
    "credit_card__dpd_months_share",
    "credit_card__dpd_days_max",
    "credit_card__cash_limit_ratio_mean",
    "pos_cash__dpd_months_share",
    "pos_cash__dpd_days_max",
    "pos_cash__last_active_months_min",
)


@dataclass(frozen=True)
class Ancestor:
    """A fitted ensemble with its medians."""

    encoded: Encoded = field(repr=False)
    medians: NDArray[np.float64] = field(repr=False)
    model: Any = field(repr=False)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Features it reads, before one-hot encoding."""
        return self.encoded.names

    @property
    def account(self) -> Mapping[str, Any]:
        """Columns after one-hot encoding, and trees."""
        return {"columns": int(self.model.n_features_in_), "trees": int(self.model.n_estimators_)}

    def pds(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """Compute PDs, as the recipe serves them."""
        matrix = _columns(self.encoded, self.encoded.of(frame), self.medians)
        found: NDArray[np.float64] = self.model.predict_proba(matrix)[:, 1]
        return found


def fit(
    part: Part,
    inputs: Sequence[ModelInput],
    _config: ModelConfig,
    seed: int,
    *,
    budget: AncestorBudget,
    resample: bool,
) -> Ancestor:
    """Fit the recipe, with its resampling or without.

    Raises
    ------
    TrainingError
        As `protocol.encode`, or none of its features is among the inputs.
    """
    from sklearn.ensemble import GradientBoostingClassifier  # noqa: PLC0415 - for research alone

    known = {i.name: i for i in inputs}
    used = [known[name] for name in FEATURES if name in known]
    if not used:
        raise TrainingError("none of the features of the ancestor's recipe is an input; was every one of them renamed?")
    encoded = encode(part, used)
    medians = np.nanmedian(encoded.matrix.astype(np.float64), axis=0)
    x, y = _columns(encoded, encoded.matrix, medians), encoded.labels
    if resample:
        x, y = oversample(x, y, share=SMOTE_SHARE, neighbours=NEIGHBOURS, seed=seed)
        x, y = undersample(x, y, share=PARITY, seed=seed)
    model = GradientBoostingClassifier(
        n_estimators=budget.trees,
        max_depth=budget.depth,
        learning_rate=LEARNING_RATE,
        subsample=ROWS_PER_TREE,
        max_features=COLUMNS_PER_SPLIT,
        random_state=seed,
    )
    return Ancestor(encoded, medians, model.fit(x, y))


def _columns(encoded: Encoded, matrix: Matrix, medians: NDArray[np.float64]) -> Matrix:
    """Fill numbers with medians and write categories as one column for each; an unknown one is all zeros."""
    columns: list[NDArray[Any]] = []
    for place, item in enumerate(encoded.inputs):
        column = matrix[:, place]
        if item.kind == "category":
            codes = range(len(encoded.encoder.categories_[item.name]))
            columns += [column == code for code in codes]
        else:
            columns.append(np.where(np.isnan(column), medians[place], column))
    return np.column_stack(columns).astype(np.float32)
