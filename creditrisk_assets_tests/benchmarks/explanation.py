"""What reasons cost: compiling the explainer of the published model, one applicant's contributions and reasons, beside the `shap` package.

    CREDITRISK_HOME=.creditrisk python -m creditrisk_assets_tests.benchmarks.explanation

Needs a home directory with a published bundle and its training part. Both get the same reference applicants and the same
others; each applicant is asked about once per round, so what the processor's cache holds is another's.
"""

import time
import warnings
from collections.abc import Callable
from typing import Any

import duckdb
import numpy as np
from rich.console import Console
from rich.table import Table

from creditrisk_assets.lake import Lake
from creditrisk_assets.modelling.booster import leaf_counts
from creditrisk_assets.modelling.bundle import Bundle, follow, read_public_key
from creditrisk_assets.modelling.explanation.compile import compile_explainer
from creditrisk_assets.modelling.explanation.explainer import Explainer
from creditrisk_assets.modelling.explanation.principal import ReasonBook
from creditrisk_assets.modelling.explanation.reference_set import APPLICANTS
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.tables import sample_part
from creditrisk_assets.settings import Settings

ASKED, ASKED_OF_SHAP, ROUNDS = 400, 4, 5


def seconds(work: Callable[[], Any]) -> float:
    """Measure the processor time of some work."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    """Print the table."""
    settings = Settings()
    published = follow(settings.bundles)
    if published is None:
        raise SystemExit("no bundle is published in this home; run `creditrisk run` first")
    bundle, text = Bundle.load(published, read_public_key(settings.keys)), (published / "model.txt").read_text("utf-8")
    matrix = _applicants(settings, bundle)
    pds = bundle.score(matrix)
    just = np.argsort(np.where(pds < bundle.policy.decisions.approve_below, -pds, 1))[:APPLICANTS]
    references, others = matrix[just].astype(np.float32), np.delete(matrix, just, axis=0)[:ASKED]
    compiled = seconds(lambda: compile_explainer(text, references))
    explainer = compile_explainer(text, references)
    rows = list(others.astype(np.float32))
    ours = min(seconds(lambda: [explainer.contributions(row) for row in rows]) / len(rows) for _ in range(ROUNDS))
    if (book := bundle.reasons) is None:
        raise SystemExit("the published bundle was made without reasons; run `creditrisk run` with this release first")
    told = min(seconds(lambda: _tell(bundle, book, explainer, rows)) / len(rows) for _ in range(ROUNDS))
    found, margins = explainer.all_contributions(others), bundle.booster.margins(others)
    gap = np.abs(found.sum(axis=1) + explainer.base - margins).max()
    oracle, theirs, difference = _shap(text, references, others[:ASKED_OF_SHAP], found[:ASKED_OF_SHAP])
    leaves = leaf_counts(text)
    table = Table("", "", title=f"reasons, {len(references)} reference applicants")
    for name, value in (
        ("trees, leaves, inputs", f"{len(leaves)}, {sum(leaves):,}, {explainer.inputs}"),
        ("blocks, look-ups, leaves without a table", _sizes(explainer)),
        ("table, layout", f"{explainer.table.nbytes / 1e6:.1f} MB, {len(explainer.layout()) / 1e6:.1f} MB"),
        ("compiled in", f"{compiled:.1f} s"),
        ("groups", f"{len(book.groups):,}"),
        ("one applicant, contributions", f"{ours * 1e3:.2f} ms"),
        ("one applicant, principal reasons with them", f"{told * 1e3:.2f} ms"),
        ("the shap package, one applicant", f"{theirs * 1e3:.1f} ms"),
        ("sum beside the margin, at most", f"{gap:.1e}"),
        ("the package's sum beside the margin", f"{np.abs(oracle - margins[:ASKED_OF_SHAP]).max():.1e}"),
        ("largest difference of a contribution", f"{difference:.1e}"),
    ):
        table.add_row(name, value)
    Console().print(table)


def _tell(bundle: Bundle, book: ReasonBook, explainer: Explainer, rows: list[np.ndarray]) -> None:
    """Find the principal reasons of applicants, contributions and words included."""
    for row in rows:
        book.principal(explainer.contributions(row), row, bundle.categories)


def _sizes(explainer: Any) -> str:
    return f"{len(explainer.block_bits):,}, {len(explainer.entry_blocks):,}, {len(explainer.deep)}"


def _applicants(settings: Settings, bundle: Bundle) -> np.ndarray:
    inputs = [ModelInput(feature.name, feature.family, feature.kind) for feature in bundle.features]
    with duckdb.connect() as con:
        part = sample_part(con, Lake(settings.lake).require("training/split_train").data, inputs, rows=5000, seed=1)
    known = {
        name: part.frame[name].astype(object).where(part.frame[name].notna(), None) for name in bundle.feature_names
    }
    return bundle.encode({name: column.tolist() for name, column in known.items()})


def _shap(text: str, references: np.ndarray, rows: np.ndarray, ours: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Ask the package: its sums, seconds per applicant, and the largest difference of a contribution."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lightgbm
        import shap
    background = shap.maskers.Independent(references.astype(np.float64), max_samples=len(references))
    model = lightgbm.Booster(model_str=text)
    oracle = shap.TreeExplainer(model, background, feature_perturbation="interventional", model_output="raw")
    oracle.shap_values(rows[:1], check_additivity=False)
    took = seconds(lambda: oracle.shap_values(rows, check_additivity=False)) / len(rows)
    values = oracle.shap_values(rows, check_additivity=False)
    return values.sum(axis=1) + oracle.expected_value, took, float(np.abs(values - ours).max())


if __name__ == "__main__":
    main()
