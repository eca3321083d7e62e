"""Setting aside rows that break a rule on rows, so that the rest of a table can be published.

What belongs here: telling the rows apart, accounting for each of them, judging the budget. What does not: what a rule is
(`contracts.rules`), rows with a value that is not of its type (`reader` sets those aside; they are counted here), correcting rows
(`corrections`), where the quarantine is kept and what a blocked table means to the graph (the raw asset).

Rules on the whole table (keys, volume, relations, an empty table, …) are judged on the rows that remain, and always block.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import duckdb

from creditrisk_assets.contracts.quarantine import CONTRACT, SEPARATOR
from creditrisk_assets.contracts.render import sql
from creditrisk_assets.contracts.report import ContractReport, RuleResult, part_of
from creditrisk_assets.contracts.rules import RULES, column_rules
from creditrisk_assets.contracts.source import SourceContract
from creditrisk_assets.contracts.table import TableContract
from creditrisk_assets.contracts.ties import SAMPLES
from creditrisk_assets.ingestion.reader import INTEGERS, WRONG_TYPE, ReadResult, copy
from creditrisk_assets.ingestion.table_file import TableFile, placed, places

# ruff: noqa: S608 -- names of the contract, quoted paths and literals; DuckDB binds no identifiers

BUDGET_RULE = "quarantine_budget"
ORDER = "ORDER BY file_index, file_row_number"
Judge = Callable[[str], ContractReport]
Broken = Mapping[str, str]  # `rule:column` -> the condition that is true for a row that breaks it


@dataclass(frozen=True)
class ReadPart:
    """One file of a table, read: its typed rows, and those set aside because a value is not of its type.

    Parameters
    ----------
    file
        The file, still on this machine: places of rows are looked up in it.
    read
        What reading it came to.
    typed, rejects
        The Parquet files `reader.read_table` wrote.
    """

    file: TableFile
    read: ReadResult
    typed: Path
    rejects: Path


class AccountingError(RuntimeError):
    """Rows were lost or doubled between reading and publishing: a defect, so nothing may be published."""


@dataclass(frozen=True)
class Accounting:
    """Where every row that was read went.

    Parameters
    ----------
    read
        Rows of the table's files.
    published
        Rows that break no rule on rows: what is published, unless the budget or a rule on the whole table forbids it.
    quarantined
        Rows that break one.
    budget
        The share of the rows read that may be (0–1).
    rules
        How many rows break each, as `rule:column`; a row that breaks two counts in both.

    Raises
    ------
    AccountingError
        The rows read are not the published and the quarantined ones.
    """

    read: int
    published: int
    quarantined: int
    budget: float
    rules: Mapping[str, int]

    def __post_init__(self) -> None:
        if self.read != self.published + self.quarantined:
            raise AccountingError(
                f"{self.read} rows read, but {self.published} to publish and {self.quarantined} in quarantine; this is a defect"
            )

    @property
    def share(self) -> float:
        """Quarantined rows as a share of the rows read (0–1)."""
        return self.quarantined / self.read if self.read else 0.0

    @property
    def within_budget(self) -> bool:
        """Whether the rest may be published."""
        return self.share <= self.budget

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values, for the facts of the raw table and of its quarantine."""
        return {
            "read": self.read,
            "published": self.published,
            "quarantined": self.quarantined,
            "budget": self.budget,
            "rules": dict(self.rules),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote, from among other facts too."""
        return cls(**{name: values[name] for name in ("read", "published", "quarantined", "budget", "rules")})


@dataclass(frozen=True)
class Settled:
    """What may be published of a table, and what was set aside.

    Parameters
    ----------
    accounting
        Where the rows went.
    report
        Of the rows that remain, with a warning for each rule that rows are in quarantine for. Over the budget: of all rows, and
        `quarantine_budget` fails. Whether it passed decides whether the table is published.
    """

    accounting: Accounting
    report: ContractReport


def settle(
    con: duckdb.DuckDBPyConnection,
    parts: Sequence[ReadPart],
    contract: SourceContract,
    budget: float,
    judge: Judge,
    *,
    published: Path,
    quarantined: Path,
) -> Settled:
    """Check a table and, where rows break a rule on rows, set these aside.

    A table in which nothing is wrong costs its check and nothing else (several files are joined into one).

    Parameters
    ----------
    con
        Connection with the memory limit and threads to keep to.
    parts
        The files of the table, base first. Their Parquet files are moved or deleted.
    contract
        The raw table.
    budget
        Share of the rows read that may be set aside (0–1).
    judge
        Checks a relation: `contracts.check.check` with baseline, parents and relaxations filled in. Called a second time on the rows
        that remain when some were set aside.
    published
        Where the rows that remain go, in the order of the parts and of their rows: byte for byte what a table without the others gives.
        Not written when the budget is exceeded.
    quarantined
        Where the rows set aside go (contract of the quarantine); written in any case, and empty when there are none.

    Raises
    ------
    AccountingError
        Rows were lost or doubled; nothing may be published.
    """
    typed = [part.typed for part in parts]
    read = sum(part.read.rows + part.read.rejected for part in parts)
    try:
        report = judge(sql.parquet(*typed))
        broken = _broken(contract, report.row_failures)
        set_aside = _write_quarantine(con, parts, contract, broken, quarantined)
        if not set_aside:
            accounting = Accounting(
                read, _join(con, contract, {part.typed: part.read.rows for part in parts}, published), 0, budget, {}
            )
            return Settled(accounting, report.told([_budget_result(accounting, contract.table)]))
        counts = _counts(con, quarantined, contract)
        sound = f"FROM {sql.parquet(*typed, rows=True)} WHERE {_sound(broken)}"
        remaining = con.execute(f"SELECT count(*) {sound}").fetchall()[0][0]
        accounting = Accounting(read, remaining, set_aside, budget, counts)
        results = [*report.row_failures, *_type_results(con, parts, contract, quarantined, accounting)]
        verdict = _budget_result(accounting, contract.table)
        if not accounting.within_budget:
            return Settled(accounting, report.told([verdict, *results]))
        if (written := copy(con, f"{_declared(contract)} {sound} {ORDER}", published)) != remaining:
            raise AccountingError(f"{contract.table}: {remaining} rows to publish, {written} written; this is a defect")
        kept = [_kept(result, contract.table) for result in results]
        return Settled(accounting, judge(sql.parquet(published)).told([verdict, *kept]))
    finally:
        for part in parts:
            part.typed.unlink(missing_ok=True)
            part.rejects.unlink(missing_ok=True)


def _broken(contract: SourceContract, results: Sequence[RuleResult]) -> dict[str, str]:
    """Return the rules that were broken (relaxed ones are not among the failures), label to condition, in the contract's order."""
    labels = {result.label for result in results}
    conditions: dict[str, list[str]] = {}
    for rule in column_rules(contract):
        if rule.row_level and rule.label in labels:
            conditions.setdefault(rule.label, []).append(str(rule.violation))
    return {label: f"({' OR '.join(each)})" for label, each in conditions.items()}


def _sound(broken: Broken) -> str:
    """Write the test that is true for a row that breaks none of the rules; unknown values break none."""
    return f"({' OR '.join(broken.values()) or 'false'}) IS NOT TRUE"


def _declared(contract: TableContract) -> str:
    return f"SELECT {', '.join(sql.identifier(spec.name) for spec in contract.columns)}"


def _join(con: duckdb.DuckDBPyConnection, contract: TableContract, files: Mapping[Path, int], out: Path) -> int:
    """Put files of known numbers of rows together, in order, and count the rows; a single one is only moved."""
    if len(files) > 1:
        return copy(con, f"{_declared(contract)} FROM {sql.parquet(*files, rows=True)} {ORDER}", out)
    ((file, rows),) = files.items()
    file.replace(out)
    return rows


def _write_quarantine(
    con: duckdb.DuckDBPyConnection,
    parts: Sequence[ReadPart],
    contract: SourceContract,
    broken: Broken,
    out: Path,
) -> int:
    """Write the rows that break a rule, in the order of the parts and of their rows, and count them."""
    if not broken and not any(part.read.rejected for part in parts):
        columns = ", ".join(f"NULL::{spec.sql_type} AS {spec.name}" for spec in CONTRACT.columns)
        return copy(con, f"SELECT {columns} WHERE false", out)
    pieces = [out.with_name(f"{out.name}.{number}") for number in range(len(parts))]
    try:
        rows = [_set_aside(con, part, contract, broken, piece) for part, piece in zip(parts, pieces, strict=True)]
        return _join(con, CONTRACT, dict(zip(pieces, rows, strict=True)), out)
    finally:
        for piece in pieces:
            piece.unlink(missing_ok=True)


def _set_aside(
    con: duckdb.DuckDBPyConnection, part: ReadPart, contract: SourceContract, broken: Broken, out: Path
) -> int:
    """Write the rows of one part that break a rule, and count them."""
    found = [_breaking(contract, part, broken)] if broken else []
    if part.read.rejected:
        found.append(f"SELECT row_number, rule, key, row FROM {sql.parquet(part.rejects)}")
    if not found:
        found.append("SELECT 0 AS row_number, '' AS rule, '' AS key, '' AS row WHERE false")
    shifts = places(part.file, part.read.rows + part.read.rejected)
    return copy(
        con,
        f"SELECT {sql.literal(part.file.batch_id)} AS batch_id, {sql.literal(part.file.address)} AS source_file, "
        f"{sql.literal(part.read.sha256)} AS source_sha256, position, rule, key, row "
        f"FROM ({placed(con, shifts, ' UNION ALL '.join(found))}) ORDER BY position",
        out,
    )


def typed_rows(part: ReadPart) -> str:
    """Write the relation of a part's typed rows, numbered (`row_number`) as in its file: rows set aside before them count too."""
    rows = (
        f"SELECT file_row_number AS row_number, * EXCLUDE (file_row_number) FROM {sql.parquet(part.typed, rows=True)}"
    )
    if not part.read.rejected:
        return f"({rows})"
    before = (
        "SELECT row_number - earlier AS from_row, max(earlier) + 1 AS rejected FROM (SELECT row_number, "
        f"row_number() OVER (ORDER BY row_number) - 1 AS earlier FROM {sql.parquet(part.rejects)}) GROUP BY from_row"
    )
    return (
        "(SELECT b.row_number + coalesce(s.rejected, 0) AS row_number, b.* EXCLUDE (row_number) "
        f"FROM ({rows}) AS b ASOF LEFT JOIN ({before}) AS s ON b.row_number >= s.from_row)"
    )


def _breaking(contract: SourceContract, part: ReadPart, broken: Broken) -> str:
    """Write the query of a part's typed rows that break a rule."""
    columns = {spec.name: sql.identifier(spec.name) for spec in contract.columns}
    return (
        f"SELECT row_number, {sql.labels_where(broken, SEPARATOR)} AS rule, "
        f"{sql.key_text({name: columns[name] for name in contract.locator})} AS key, {sql.row_text(columns)} AS row "
        f"FROM {typed_rows(part)} WHERE NOT {_sound(broken)}"
    )


def _counts(con: duckdb.DuckDBPyConnection, quarantined: Path, contract: SourceContract) -> dict[str, int]:
    """Count the rows in quarantine by rule, in the contract's order."""
    found = con.execute(
        f"SELECT label, count(*) FROM (SELECT unnest(string_split(rule, {sql.literal(SEPARATOR)})) AS label "
        f"FROM {sql.parquet(quarantined)}) GROUP BY label"
    ).fetchall()
    counts = {str(label): int(count) for label, count in found}
    order = [*(f"{WRONG_TYPE}:{spec.name}" for spec in contract.columns), *(r.label for r in column_rules(contract))]
    return {label: counts[label] for label in order if label in counts}


def _type_results(
    con: duckdb.DuckDBPyConnection,
    parts: Sequence[ReadPart],
    contract: SourceContract,
    quarantined: Path,
    accounting: Accounting,
) -> Iterator[RuleResult]:
    """Yield what became of the columns in which rows had values that are not of their type, with the places of a few."""
    files = {part.file.batch_id: part.file for part in parts}
    for label, count in accounting.rules.items():
        rule, _, column = label.partition(":")
        if rule != WRONG_TYPE:
            continue
        rows = con.execute(
            f"SELECT batch_id, position FROM {sql.parquet(quarantined)} "
            f"WHERE list_contains(string_split(rule, {sql.literal(SEPARATOR)}), {sql.literal(label)}) LIMIT {SAMPLES}"
        ).fetchall()
        kind = contract.column(column).sql_type
        description = f"{column} is a {'whole number' if kind in INTEGERS else 'number'} ({kind})"
        yield RuleResult(
            rule,
            column,
            "error",
            failed=count,
            share=count / accounting.read,
            sample_keys=tuple(files[batch].place(position) for batch, position in rows),
            description=description,
            observed=f"{description}; not so in {part_of(count, accounting.read)} rows",
            row_level=True,
        )


def _kept(result: RuleResult, table: str) -> RuleResult:
    """Make a warning of a failure whose rows are in quarantine; a relaxation found for it had expired, or they were not."""
    words = f"{result.observed}; in quarantine/{table}, the rest is published"
    if result.relaxation is not None:
        words += f" (its relaxation by {result.relaxation.owner} expired on {result.relaxation.expires})"
    return replace(result, severity="warn", observed=words, relaxation=None)


def _budget_result(accounting: Accounting, table: str) -> RuleResult:
    """Judge whether few enough rows were set aside, with what to do if not."""
    description = f"{RULES[BUDGET_RULE]}: at most {accounting.budget:.4g} of them"
    over = not accounting.within_budget
    observed = ""
    if accounting.quarantined:
        rules = ", ".join(f"{label} {count:,}" for label, count in accounting.rules.items())
        observed = f"{part_of(accounting.quarantined, accounting.read)} rows break a rule ({rules})"
    if over:
        observed += (
            f", more than the budget of {accounting.budget * 100:g}%, so nothing is published. See them with "
            f"`creditrisk quarantine list {table}`; then correct the source, or them (`--out` writes them as CSV, `creditrisk "
            f"quarantine replay {table} --corrected FILE.csv` takes it), or relax the rule with a reason, or raise the table's "
            "quarantine_budget in the sources file"
        )
    return RuleResult(
        BUDGET_RULE,
        None,
        "error",
        failed=accounting.quarantined if over else 0,
        share=accounting.share,
        description=description,
        observed=observed,
    )
