"""The governance file as the command line shows it: how complete it is, and whether it still says what its artefacts say."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from creditrisk_assets.defs.governance_file import COMPLETENESS, FILE, TOGETHER
from creditrisk_assets.governance.documents import document_specs
from creditrisk_assets.governance.evidence import Cabinet, Place
from creditrisk_assets.governance.verification import verify
from creditrisk_assets.lake import Lake
from creditrisk_assets.settings import Settings

OTHERS = ("sbom", "file")


def completeness(settings: Settings) -> dict[str, Any]:
    """Read the meter of the file published last.

    Raises
    ------
    LakeError
        There is none yet; the message says which command makes it.
    EvidenceError
        It was changed after it was published.
    """
    version = Lake(settings.lake).require(FILE)
    found: dict[str, Any] = Cabinet({FILE: version}).find(Place(FILE, COMPLETENESS)).value
    return {**found, "page": str(settings.reports / TOGETHER / "index.html")}


def verification(settings: Settings) -> dict[str, Any]:
    """Take every number of the file again."""
    names = (*document_specs(), *OTHERS)
    values, found = verify(Lake(settings.lake), settings.reports / TOGETHER, names)
    return {"documents": len(names), "values": values, "differences": [vars(one) for one in found]}


def print_completeness(found: dict[str, Any]) -> None:
    """Print the meter."""
    table = Table(box=None, header_style="bold")
    for name in ("item", "what", "state", "where, or why not"):
        table.add_column(name)
    for item in found["items"]:
        there = item["state"] == "artefact"
        colour = "green" if there else "red" if item["required"] else "yellow"
        state = item["state"] if item["required"] else f"{item['state']} (optional)"
        table.add_row(
            item["id"], item["title"], f"[{colour}]{state}[/]", escape(item["place"] if there else item["words"])
        )
    console = Console()
    console.print(table)
    console.print(f"{found['present']} of {found['of']} items; open {found['page']}", soft_wrap=True)


def print_verification(found: dict[str, Any]) -> None:
    """Print what differs."""
    console = Console()
    for one in found["differences"]:
        console.print(
            f"[red]differs[/] {escape(one['document'])}: {escape(one['where'])}: {escape(one['words'])}", soft_wrap=True
        )
    words = f"{len(found['differences'])} differences" if found["differences"] else "nothing differs"
    console.print(f"{found['values']:,} values of {found['documents']} documents taken again: {words}")
