"""How often reasons name a cause that was planted in raw histories, by the published model of a home.

    CREDITRISK_HOME=.creditrisk python -m creditrisk_assets_tests.benchmarks.planted

Reads the home and writes nothing into it. Each cause is planted in the raw rows of the same applicants of average risk.
"""

import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from creditrisk_assets.lake import Lake
from creditrisk_assets.modelling.bundle import Bundle, follow, read_public_key
from creditrisk_assets.settings import Settings
from creditrisk_assets_tests.integration.planting import CAUSES, CONTROL, Named, Planting

APPLICANTS = 1_000


def main() -> None:
    """Print the table."""
    settings = Settings()
    if (published := follow(settings.bundles)) is None:
        raise SystemExit("no bundle is published in this home; run `creditrisk run` first")
    bundle = Bundle.load(published, read_public_key(settings.keys))
    with tempfile.TemporaryDirectory() as place:
        planting = Planting(Lake(settings.lake), bundle, Path(place), APPLICANTS)
        found = [planting.named(plant) for plant in (*CAUSES, CONTROL)]
    Console(width=150).print(_table(found, bundle.version))


def _table(found: list[Named], version: str) -> Table:
    table = Table(title=f"planted in {found[0].applicants:,} applicants of average risk, model {version}")
    for column in ("planted", "told first", "within four", "before", "grew most of all groups", "margin rose by"):
        table.add_column(column, justify="left" if column == "planted" else "right")
    for one in found:
        shares = (one.first, one.within_four, one.within_four_before, one.rose_most)
        table.add_row(one.plant, *(f"{share:.1%}" for share in shares), f"{one.mean_rise:.3f}")
    return table


if __name__ == "__main__":
    main()
