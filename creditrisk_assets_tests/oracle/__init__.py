"""Features computed a second time, in pandas, from what the catalogue says of them.

What belongs here: one module per family with `features(tables)`, written from the descriptions and not from the SQL, so that an error of
either shows; a portfolio that tries them (`hostile`). It is also what the benchmark compares with: plain vectorised pandas, not tuned. What
does not: the comparison (`parity/test_oracle.py`), values to be expected by hand (`features/<family>.yaml`).

Tables come under the lake's names, as `pandas.read_csv` reads the source's files or as DuckDB hands them over: empty cells are NaN, codes
such as 365243 are still in them. The result has one row per applicant with a row in the family's tables, by `sk_id_curr`; NaN is NULL.
"""

import pkgutil
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType

import pandas as pd

from creditrisk_assets.features.families import FAMILIES

Features = Callable[[Mapping[str, pd.DataFrame]], pd.DataFrame]


def families() -> dict[str, Features]:
    """Return what computes each family that has a module here, in the order of the registry."""
    return {name: module.features for name, module in _modules().items()}


def tolerances() -> dict[str, float]:
    """Return the features that the platform only comes near to, as their family's module declares, with how near relative to the value."""
    declared = (getattr(module, "TOLERANCES", {}) for module in _modules().values())
    return {feature: tolerance for features in declared for feature, tolerance in features.items()}


def _modules() -> dict[str, ModuleType]:
    present = {module.name for module in pkgutil.iter_modules(__path__)}
    return {name: import_module(f"{__name__}.{name}") for name in FAMILIES if name in present}
