"""What every evaluation leaves in one shape: its table of figures, and its files among the named reports.

What belongs here: writing, checking and exporting that table. What does not: which figures there are (`modelling.figures`, the assets).
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from creditrisk_assets.contracts.check import check
from creditrisk_assets.contracts.figures import FIGURES
from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.defs.artefact import CheckOutcome, Work
from creditrisk_assets.defs.contract_checks import contract_outcomes
from creditrisk_assets.lake import Version
from creditrisk_assets.modelling.figures import Figure, figures_table

TABLE = "figures.parquet"
CONTRACT_OF_FIGURES = {"contract_of_figures": f"Columns, types and keys of `{TABLE}` are as its contract declares."}


def write_figures(work: Work, figures: Iterable[Figure], *, measured: str) -> CheckOutcome:
    """Write the figures of an asset beside its table and check them.

    Parameters
    ----------
    work
        The asset's.
    figures
        Each name and slice once.
    measured
        Key of the input the figures speak of.
    """
    path = work.draft.path / TABLE
    version = work.inputs[measured].version
    table = figures_table(figures, source=work.draft.key, measured=measured, version=version)
    table.to_parquet(path, index=False, compression="zstd")
    with work.connection() as con:
        (outcome,) = contract_outcomes(check(con, parquet(path), FIGURES))
    return replace(outcome, name="contract_of_figures")


def export_files(version: Version, reports: Path, names: Mapping[str, str]) -> None:
    """Copy files of a version to reports/evaluation, each swapped in whole: name there -> name in the version."""
    folder = reports / "evaluation"
    folder.mkdir(parents=True, exist_ok=True)
    for name, file in names.items():
        draft = folder / f".{name}"
        draft.write_bytes((version.path / file).read_bytes())
        draft.replace(folder / name)
