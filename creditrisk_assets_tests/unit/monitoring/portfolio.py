"""Applicants of a made-up portfolio, a model of theirs, and months in which something happened to them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from creditrisk_assets.modelling.booster import Booster
from creditrisk_assets.modelling.bundle import Bundle, BundleFeature
from creditrisk_assets.modelling.calibration import uncalibrated
from creditrisk_assets.modelling.explanation.compile import compile_explainer
from creditrisk_assets.modelling.policy import Policy, load_policy
from creditrisk_assets.modelling.reference import reference_of, score_reference

NUMBERS = {
    "application__ext_2_score": ("application", "EXT_SOURCE_2"),
    "application__income_amt": ("application", "AMT_INCOME_TOTAL"),
    "application__credit_amt": ("application", "AMT_CREDIT"),
    "application__annuity_amt": ("application", "AMT_ANNUITY"),
    "application__employed_days": ("application", "DAYS_EMPLOYED"),
    "bureau__debt_amt_sum": ("bureau", "AMT_CREDIT_SUM_DEBT"),
    "bureau__overdue_days_max": ("bureau", "CREDIT_DAY_OVERDUE"),
    "bureau__dpd_months_share": ("bureau_balance", "STATUS"),
    "bureau__history_months_max": ("bureau_balance", "MONTHS_BALANCE"),
    "installments__late_share": ("installments_payments", "DAYS_ENTRY_PAYMENT"),
    "installments__paid_amt_sum": ("installments_payments", "AMT_PAYMENT"),
}
CATEGORY, FLAG = "application__education_category", "applicant__has_bureau"
FEATURES = (
    *(BundleFeature(name, name.split("__")[0], "numeric") for name in NUMBERS),
    BundleFeature(CATEGORY, "application", "category", ("higher", "lower", "secondary")),
    BundleFeature(FLAG, "applicant", "boolean"),
)
ORIGINS = {
    **{name: frozenset({origin}) for name, origin in NUMBERS.items()},
    "bureau__dpd_months_share": frozenset({("bureau", "SK_ID_BUREAU"), ("bureau_balance", "STATUS")}),
    "bureau__history_months_max": frozenset({("bureau", "SK_ID_BUREAU"), ("bureau_balance", "MONTHS_BALANCE")}),
    CATEGORY: frozenset({("application", "NAME_EDUCATION_TYPE")}),
    FLAG: frozenset({("bureau", "SK_ID_CURR")}),
}
TRAINED, REFERENCE = 6000, 20_000
Change = Callable[[pd.DataFrame], pd.DataFrame]


def draw(
    rows: int, seed: int, *, default_rate_factor: float = 1.0, riskier: float = 0.0, habits: float = 0.0
) -> pd.DataFrame:
    """Draw applicants with their outcome.

    Parameters
    ----------
    default_rate_factor
        Defaults are drawn this many times as often among those who come, and are otherwise who they were: prior drift.
    riskier
        Added to everybody's log-odds, who otherwise look the same: concept drift.
    habits
        Added to everybody's habit of paying late, in standard deviations; who looks alike defaults as often: covariate drift.
    """
    random = np.random.default_rng(seed)
    size = rows if default_rate_factor == 1.0 else int(4 * rows * default_rate_factor)
    quality, habit = random.normal(size=size), random.normal(size=size) + habits
    bureau, months = random.random(size) < 0.85, random.random(size) < 0.6
    income = random.lognormal(12, 0.5, size)
    noise = random.normal(size=(5, size))
    frame = pd.DataFrame(
        {
            "application__ext_2_score": np.clip(0.5 + 0.15 * quality + 0.05 * noise[0], 0, 1),
            "application__income_amt": income,
            "application__credit_amt": income * random.lognormal(1, 0.4, size),
            "application__annuity_amt": income * random.lognormal(-1.6, 0.3, size),
            "application__employed_days": random.gamma(2, 900, size),
            "bureau__debt_amt_sum": np.where(bureau, random.lognormal(11, 1, size), np.nan),
            "bureau__overdue_days_max": np.where(bureau, random.poisson(np.exp(0.5 * habit)), np.nan),
            "bureau__dpd_months_share": np.where(bureau & months, 1 / (1 + np.exp(2.5 - habit)), np.nan),
            "bureau__history_months_max": np.where(bureau & months, random.integers(1, 96, size), np.nan),
            "installments__late_share": 1 / (1 + np.exp(2 - habit - 0.3 * noise[1])),
            "installments__paid_amt_sum": random.lognormal(12.5, 0.8, size),
            CATEGORY: random.choice(["higher", "lower", "secondary"], size, p=[0.25, 0.05, 0.7]),
            FLAG: bureau,
        }
    )
    odds = -3.4 - 1.1 * quality + 0.9 * habit + 0.4 * (frame[CATEGORY] == "lower") + riskier
    frame["target"] = (random.random(size) < 1 / (1 + np.exp(-odds))).astype(np.int64)
    if default_rate_factor != 1.0:
        rate = frame["target"].mean() * default_rate_factor
        bad = round(rows * rate)
        parts = [frame[frame["target"] == 1].iloc[:bad], frame[frame["target"] == 0].iloc[: rows - bad]]
        frame = pd.concat(parts)
    chosen = frame.iloc[:rows].reset_index(drop=True)
    chosen.insert(0, "sk_id_curr", np.arange(rows) + seed * 1_000_000)
    return chosen


def matrix_of(frame: pd.DataFrame) -> NDArray[np.float64]:
    """Encode as the bundle does."""
    codes = {name: float(code) for code, name in enumerate(FEATURES[-2].categories or ())}
    columns = [frame[f.name].map(codes) if f.kind == "category" else frame[f.name] for f in FEATURES]
    return np.column_stack([column.astype(np.float64) for column in columns]).astype(np.float32).astype(np.float64)


@dataclass(frozen=True)
class Portfolio:
    """A model in a bundle, the applicants it compares with, and what it rests on."""

    bundle: Bundle
    reference: Path
    importance: Mapping[str, float]
    policy: Policy


def make_portfolio(folder: Path) -> Portfolio:
    """Train a model and count its reference on applicants it did not see, as out-of-fold scores are."""
    trained, reference, policy = draw(TRAINED, 1), draw(REFERENCE, 2), load_policy()
    data = lgb.Dataset(
        matrix_of(trained), trained["target"], feature_name=[f"f{place}" for place in range(len(FEATURES))]
    )
    parameters = {
        "objective": "binary",
        "num_leaves": 6,
        "learning_rate": 0.08,
        "verbosity": -1,
        "seed": 1,
        "num_threads": 1,
    }
    model = lgb.train(parameters, data, num_boost_round=60)
    booster, calibrator = Booster(model.model_to_string()), uncalibrated()
    margins = booster.margins(matrix_of(reference))
    kinds = {feature.name: feature.kind for feature in FEATURES}
    columns = {
        name: reference[name] if kind == "category" else reference[name].astype(np.float32)
        for name, kind in kinds.items()
    }
    approved = matrix_of(reference)[np.argsort(np.abs(calibrator.pds(margins) - policy.decisions.approve_below))[:100]]
    bundle = Bundle(
        version="0" * 16,
        manifest={},
        plan={},
        policy=policy,
        features=FEATURES,
        metrics={},
        calibrator=calibrator,
        reference=reference_of(kinds, columns, score_reference(margins, calibrator.pds(margins), policy)),
        booster=booster,
        explainer=compile_explainer(model.model_to_string(), approved.astype(np.float32)),
    )
    gain = model.feature_importance("gain")
    reference.to_parquet(folder / "reference.parquet", index=False)
    names = [feature.name for feature in FEATURES]
    return Portfolio(
        bundle, folder / "reference.parquet", dict(zip(names, (gain / gain.sum()).tolist(), strict=True)), policy
    )
