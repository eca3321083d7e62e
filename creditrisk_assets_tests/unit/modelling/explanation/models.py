"""Small boosters on drawn tables, and contributions by definition."""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np

from creditrisk_assets.modelling.booster import Booster

NEVER_MISSING = 1  # of these columns the training knows no missing value, so LightGBM takes NaN for 0


@dataclass(frozen=True)
class Drawn:
    """A booster with rows of its matrix, among them values on and beside its thresholds."""

    model: Any
    rows: np.ndarray

    @property
    def text(self) -> str:
        return self.model.model_to_string()

    def margins(self, rows: np.ndarray) -> np.ndarray:
        return Booster(self.text).margins(rows.astype(np.float64))


def draw_model(
    seed: int,
    *,
    features: int = 6,
    trees: int = 12,
    leaves: int = 12,
    rows: int = 400,
    edges: bool = True,
    **parameters: object,
) -> Drawn:
    """Train on numbers with missing values, codes of categories and flags; the outcome hangs on pairs of them.

    With `edges`, some values lie on thresholds or beside them, and some are missing where none was in training.
    """
    random = np.random.default_rng(seed)
    table = random.normal(size=(rows, features)).astype(np.float32)
    table[:, 0] = np.round(table[:, 0])  # codes
    table[:, -1] = table[:, -1] > 0  # flags
    gaps = random.random(table.shape) < 0.15
    gaps[:, :NEVER_MISSING] = False
    table[gaps] = np.nan
    known = np.nan_to_num(table)
    risk = known[:, 0] + known[:, 1] * known[:, 2] + np.isnan(table[:, 3]) - known[:, 4 % features]
    label = random.random(rows) < 1 / (1 + np.exp(-risk))
    chosen = {
        "objective": "binary",
        "num_leaves": leaves,
        "min_data_in_leaf": 3,
        "feature_fraction": 0.8,
        "learning_rate": 0.2,
        "num_threads": 1,
        "seed": seed,
        "verbosity": -1,
    }
    data = lightgbm.Dataset(table.astype(np.float64), label, params={"verbosity": -1})
    model = lightgbm.train(chosen | parameters, data, num_boost_round=trees)
    if not edges:
        return Drawn(model, table)
    asked = table.copy()
    asked[::7, :NEVER_MISSING] = np.nan
    splits = model.trees_to_dataframe().dropna(subset=["threshold"]).query("abs(threshold) < 1e30")
    for number, split in splits.iloc[: rows // 4].iterrows():
        near = np.float32(split["threshold"])
        beside = np.nextafter(near, np.float32(random.choice([-np.inf, np.inf])))
        asked[number % rows, model.feature_name().index(split["split_feature"])] = random.choice([near, beside])
    return Drawn(model, asked)


def by_definition(margins: Any, row: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Compute Shapley values from all subsets of the features."""
    features = range(len(row))
    value = {}
    for size in range(len(row) + 1):
        for some in itertools.combinations(features, size):
            mixed = references.copy()
            mixed[:, list(some)] = row[list(some)]
            value[frozenset(some)] = margins(mixed).mean()
    found = np.zeros(len(row))
    for some, worth in value.items():
        for feature in set(features) - some:
            orders = math.factorial(len(some)) * math.factorial(len(row) - len(some) - 1) / math.factorial(len(row))
            found[feature] += orders * (value[some | {feature}] - worth)
    return found
