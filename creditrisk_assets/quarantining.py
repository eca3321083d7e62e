"""The quarantine at the terminal: what is in it, its rows as CSV, corrected rows taken in, a table made anew.

What belongs here: what the `creditrisk quarantine` commands do. What does not: the commands (`cli`), which rows go to quarantine
(`ingestion.quarantine`), how corrected rows are kept (`ingestion.corrections`), status and diagnosis (`diagnosis`).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
from rich.markup import escape
from rich.table import Table

from creditrisk_assets import running, terminal
from creditrisk_assets.contracts.quarantine import SEPARATOR
from creditrisk_assets.contracts.render import sql
from creditrisk_assets.contracts.source import SourceContract
from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.defs.vocabulary import quarantine_key
from creditrisk_assets.ingestion import corrections
from creditrisk_assets.ingestion.quarantine import Accounting
from creditrisk_assets.ingestion.sources import normal_source, source_text
from creditrisk_assets.lake import Lake, Version
from creditrisk_assets.resources.duckdb import limit
from creditrisk_assets.settings import Settings

POSITIONS = 5  # of a rule's rows, shown


def listing(settings: Settings, table: str | None, out: Path | None = None) -> list[dict[str, Any]]:
    """Collect what is in quarantine.

    Parameters
    ----------
    settings
        The deployment.
    table
        A raw table; None: every one.
    out
        CSV file to write the table's quarantined rows to, for a person to correct.

    Returns
    -------
    list of dict
        Per table that was read at least once: `table`, `read`, `quarantined`, `budget`, `within_budget`, `since`, `corrections`,
        `rules` (per batch and rule `count`, `share_of_budget` and the first `positions`), and with `out` what was `written`.

    Raises
    ------
    RunError
        There is no such table, or it was never read, or `out` is given without a table.
    CorrectionError
        `out` is there already.
    """
    if table is None:
        if out is not None:
            raise running.RunError(
                "--out writes the rows of one table; name it: `creditrisk quarantine list TABLE --out FILE.csv`"
            )
        lake = Lake(settings.lake)
        found = {name: lake.current(quarantine_key(name)) for name in SOURCES}
        versions = {name: version for name, version in found.items() if version is not None}
    else:
        versions = {_contract(table).table: _quarantine(settings, _contract(table))}
    with _connection(settings) as con:
        entries = [_entry(con, settings, name, version) for name, version in versions.items()]
        if table is not None and out is not None:
            rows = corrections.write_rows(con, _quarantine(settings, _contract(table)).data, _contract(table), out)
            entries[0]["written"] = {"file": str(out), "rows": rows}
    return entries


def _entry(con: duckdb.DuckDBPyConnection, settings: Settings, table: str, version: Version) -> dict[str, Any]:
    accounting = Accounting.from_dict(version.manifest.metadata["facts"])
    rows = con.execute(
        "SELECT batch_id, label, count(*), list(position ORDER BY position)[:$shown] FROM "  # noqa: S608 -- a quoted path
        f"(SELECT batch_id, position, unnest(string_split(rule, $separator)) AS label FROM {sql.parquet(version.data)}) "
        "GROUP BY ALL ORDER BY batch_id, count(*) DESC, label",
        {"shown": POSITIONS, "separator": SEPARATOR},
    ).fetchall()
    allowed = accounting.budget * accounting.read
    return {
        "table": table,
        "read": accounting.read,
        "quarantined": accounting.quarantined,
        "budget": accounting.budget,
        "within_budget": accounting.within_budget,
        "since": version.manifest.created_at,
        "rules": [
            {
                "batch": batch,
                "rule": label.partition(":")[0],
                "column": label.partition(":")[2],
                "count": count,
                "share_of_budget": count / allowed if allowed else None,
                "positions": positions,
            }
            for batch, label, count, positions in rows
        ],
        "corrections": corrections.history(con, settings.root, table),
    }


def print_listing(found: Sequence[Mapping[str, Any]]) -> None:
    """Print what `listing` collected."""
    console = terminal.console
    if not found:
        console.print("no table was read yet: run `creditrisk run`")
    clean = [entry["table"] for entry in found if not entry["quarantined"]]
    for entry in found:
        if not entry["quarantined"]:
            continue
        state = "" if entry["within_budget"] else "  [red]over the budget: nothing was published[/]"
        console.print(
            f"[bold]{entry['table']}[/]  {entry['quarantined']:,} of {entry['read']:,} rows "
            f"(budget {entry['budget'] * 100:g}%), since {entry['since']}{state}"
        )
        table = Table("batch", "rule", "column", "rows", "of the budget", "first positions", box=None, pad_edge=False)
        for rule in entry["rules"]:
            share = "" if rule["share_of_budget"] is None else f"{rule['share_of_budget']:.0%}"
            first = ", ".join(str(position) for position in rule["positions"])
            more = ", …" if rule["count"] > len(rule["positions"]) else ""
            table.add_row(
                escape(rule["batch"]), rule["rule"], rule["column"], f"{rule['count']:,}", share, f"{first}{more}"
            )
        console.print(table)
        console.print()
    for entry in found:
        for correction in entry["corrections"]:
            console.print(
                f"{entry['table']}: {correction['rows']:,} rows corrected by {escape(correction['by'])} "
                f"at {correction['at']}: {escape(correction['reason'])}"
            )
        if "written" in entry:
            console.print(
                f"{entry['written']['rows']:,} rows written to {escape(entry['written']['file'])}; correct them, then run "
                f"`creditrisk quarantine replay {entry['table']} --corrected FILE.csv --by NAME --reason TEXT`"
            )
    if clean:
        console.print(f"nothing in quarantine: {', '.join(clean)}")


def make_anew(
    settings: Settings, table: str, corrected: Path | None, *, by: str, reason: str, quiet: bool
) -> dict[str, Any]:
    """Make a raw table anew from the source whose rows are in quarantine, with corrected rows taken in first if there are any.

    Returns
    -------
    dict
        `table`, `succeeded`, `failures`, `corrected` and `unchanged` rows taken in, rows `released` from quarantine, and those that
        `remain` in it.

    Raises
    ------
    RunError
        There is no such table, it was never read, or its quarantine is of another source than CREDITRISK_SOURCE names.
    CorrectionError
        The corrected rows cannot be taken in.
    """
    contract = _contract(table)
    before = _quarantine(settings, contract)
    source = _source(settings, contract, before)
    taken = corrections.Taken(0, 0)
    with _connection(settings) as con:
        earlier = _places(con, before)
        if corrected is not None:
            taken = corrections.take_in(
                con, settings.root, contract, before.data, corrected, by=by, reason=reason, at=datetime.now(UTC)
            )
    result, _ = terminal.run_graph(settings, source, contract.lake_key, quiet=quiet)
    with _connection(settings) as con:
        now = _places(con, _quarantine(settings, contract))
    return {
        "table": contract.table,
        "succeeded": result.succeeded,
        "failures": result.failures,
        "corrected": taken.rows,
        "unchanged": taken.unchanged,
        "released": len(earlier - now),
        "remain": len(now),
    }


def print_answer(answer: Mapping[str, Any]) -> None:
    """Print what `make_anew` came to."""
    taken = f"{answer['corrected']:,} corrected rows taken in; " if answer["corrected"] else ""
    terminal.console.print(
        f"{answer['table']}: {taken}{answer['released']:,} rows released, {answer['remain']:,} remain in quarantine"
    )


def _places(con: duckdb.DuckDBPyConnection, version: Version) -> set[tuple[str, int]]:
    """Return which rows of which content are in quarantine."""
    relation = sql.parquet(version.data)
    return set(con.execute(f"SELECT source_sha256, position FROM {relation}").fetchall())  # noqa: S608 -- a quoted path


def _contract(table: str) -> SourceContract:
    if table.removeprefix("raw/") not in SOURCES:
        raise running.RunError(f"there is no raw table {table}; there are {', '.join(SOURCES)}")
    return SOURCES[table.removeprefix("raw/")]


def _quarantine(settings: Settings, contract: SourceContract) -> Version:
    version = Lake(settings.lake).current(quarantine_key(contract.table))
    if version is None:
        raise running.RunError(f"{contract.table} was never read; run `creditrisk run` first")
    return version


def _source(settings: Settings, contract: SourceContract, quarantined: Version) -> str:
    """Return the source whose rows are in quarantine: one that was refused is not remembered, so another may be in force."""
    facts = quarantined.manifest.metadata["facts"]
    if not facts["quarantined"] or "source" not in facts:
        return source_text(settings)
    source: str = facts["source"]
    if settings.source is not None and normal_source(settings.source) != source:
        raise running.RunError(
            f"the rows in quarantine/{contract.table} are of {source}, but CREDITRISK_SOURCE is {settings.source}; "
            "unset it, or run `creditrisk run` first"
        )
    return source


@contextmanager
def _connection(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    settings.spill.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as con:
        limit(con, settings)
        yield con
