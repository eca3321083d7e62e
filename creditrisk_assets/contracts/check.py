"""Check a table against its contract, out of core, and say what was found.

What belongs here: running the rendered SQL and judging the answers. What does not: the rules (`rules`), their SQL
(`render.sql`), comparisons with the last good version (`bands`), what happens to a table that fails (its asset).

One scan decides every rule on columns. Keys, and each relation, take one more over their columns alone. Only when
something failed, one further scan fetches at most 20 keys per rule.
"""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from creditrisk_assets.contracts import bands, ties
from creditrisk_assets.contracts.relaxations import NONE, Relaxations
from creditrisk_assets.contracts.render.dialect import Connection, dialect_of
from creditrisk_assets.contracts.render.sql import parquet as parquet_relation
from creditrisk_assets.contracts.report import ContractReport, Profile, RuleResult, part_of
from creditrisk_assets.contracts.rules import RULES, Rule, column_rules
from creditrisk_assets.contracts.table import Exclusion, TableContract
from creditrisk_assets.contracts.ties import Facts

__all__ = ["ContractReport", "Profile", "RuleResult", "check", "parquet_relation"]


def check(
    con: Connection,
    relation: str,
    contract: TableContract,
    *,
    baseline: Profile | None = None,
    parents: Mapping[str, str] | None = None,
    relaxations: Relaxations = NONE,
    today: dt.date | None = None,
    values_of: Collection[str] | None = None,
) -> ContractReport:
    """Check one table.

    Parameters
    ----------
    con
        Connection with its memory limit and spill directory set, or `contracts.spark.SparkTables`.
    relation
        The table as SQL text, for example `read_parquet('…')` (see `render.sql.parquet`, `render.spark.parquet`).
    contract
        What it must be.
    baseline
        Profile of the last good version; without one the comparisons are reported as not applicable.
    parents
        Other tables by name, as SQL text, for the relations; one whose tables are all absent is not applicable.
    relaxations
        Rules relaxed by name: broken, they warn and carry the reason.
    today
        The day relaxations are judged on; by default the present one (UTC).
    values_of
        The columns whose values are read, the key among them; of the others, taken over from tables that were checked, only name and type
        are. By default all.

    Returns
    -------
    ContractReport
        A result per rule and column, and the table's profile.
    """
    text = dialect_of(con)
    actual = {name: kind for name, kind, *_ in con.execute(text.describe_columns(relation)).fetchall()}
    sound = {
        column.name
        for column in contract.columns
        if actual.get(column.name) == column.sql_type and (values_of is None or column.name in values_of)
    }
    facts = _scan(
        con, relation, contract, [rule for rule in column_rules(contract, text) if rule.column in sound], sound
    )
    results = [*_structure(contract, actual, facts.rows), *_columns(con, relation, contract, facts)]
    if contract.key and sound.issuperset(contract.key):
        results.append(ties.unique_key(con, relation, contract, facts))
    shares: dict[str, float] = {}
    for tie in contract.relations:
        if tie.column not in sound:
            continue
        if isinstance(tie, Exclusion):
            results.append(ties.exclusion(con, relation, tie, parents or {}))
            continue
        result, share = ties.orphans(con, relation, tie, parents or {}, baseline)
        results.append(result)
        if share is not None:
            shares[tie.name] = share
    null_shares = {name: facts.nulls[name] / facts.rows if facts.rows else 0.0 for name in facts.nulls}
    profile = Profile(facts.rows, null_shares, shares)
    results += bands.compare(contract.lake_key, profile, baseline)
    day = today or dt.datetime.now(dt.UTC).date()
    judged = tuple(_relax(contract, result, relaxations, day) for result in results)
    return ContractReport(contract.table, facts.rows, judged, profile, sum(result.applicable for result in judged))


def _scan(con: Connection, relation: str, contract: TableContract, rules: Sequence[Rule], sound: set[str]) -> Facts:
    """Read the table once."""
    text = dialect_of(con)
    columns = [column.name for column in contract.columns if column.name in sound]
    whole = [name for name in contract.key if name in sound and contract.column(name).type == "int"]
    counted = [rule for rule in rules if rule.name != "not_null"]  # decided by the counts of known values
    aggregates = [f"count({text.identifier(name)})" for name in columns]
    aggregates += [f"{side}({text.identifier(name)})" for name in whole for side in ("min", "max")]
    aggregates += [rule.aggregate for rule in counted]
    row = con.execute(text.one_pass(relation, aggregates)).fetchall()[0]
    rows, rest = row[0], iter(row[1:])
    nulls = {name: rows - next(rest) for name in columns}
    ranges: dict[str, tuple[int, int] | None] = {}
    for name in whole:
        low, high = next(rest), next(rest)
        ranges[name] = None if low is None else (low, high)
    found = {id(rule): next(rest) for rule in counted}
    failed = tuple((rule, nulls[rule.column] if rule.name == "not_null" else found[id(rule)]) for rule in rules)
    return Facts(rows, nulls, failed, ranges)


def _structure(contract: TableContract, actual: Mapping[str, str], rows: int) -> list[RuleResult]:
    """Judge which columns there are, of which type, and whether there is a row."""
    declared = {column.name: column for column in contract.columns}
    required = {name for name in declared if contract.schema.columns[name].required}
    results = [
        RuleResult(
            "missing_column",
            name,
            "error",
            failed=0 if name in actual else 1,
            share=0.0 if name in actual else 1.0,
            description=f"{name} is there",
            observed="" if name in actual else f"the column is missing; the table has {len(actual)} columns",
        )
        for name in declared
        if name in required
    ]
    results += [
        RuleResult(
            "column_type",
            name,
            "error",
            failed=0 if actual[name] == column.sql_type else 1,
            share=0.0 if actual[name] == column.sql_type else 1.0,
            description=f"{name} is {column.sql_type}",
            observed="" if actual[name] == column.sql_type else f"is {actual[name]}, declared {column.sql_type}",
        )
        for name, column in declared.items()
        if name in actual
    ]
    if contract.schema.strict:
        results += [
            RuleResult(
                "unknown_column",
                name,
                "error",
                failed=1,
                share=1.0,
                description="every column is declared",
                observed="the column is not declared; drop it at the source or declare it in the contract",
            )
            for name in actual
            if name not in declared
        ]
    if not contract.may_be_empty:
        empty = rows == 0
        results.append(
            RuleResult(
                "not_empty",
                None,
                "error",
                failed=int(empty),
                share=float(empty),
                description=RULES["not_empty"],
                observed="the table has no row" if empty else "",
            )
        )
    return results


def _columns(con: Connection, relation: str, contract: TableContract, facts: Facts) -> list[RuleResult]:
    """Judge the rules on columns, with sample keys for those that are broken."""
    broken = [rule for rule, failed in facts.failed if failed and rule.violation]
    samples = _samples(con, relation, contract, facts, broken)
    results = []
    for rule, failed in facts.failed:
        known = facts.rows - facts.nulls[rule.column]
        share = failed / facts.rows if facts.rows else 0.0
        severity = rule.severity
        if rule.tolerated_share and known and failed / known <= rule.tolerated_share:
            severity = "warn"
        if not rule.violation:  # about values, not rows: an empty table is reported as such
            failed, share = (failed, 1.0 if failed else 0.0) if facts.rows else (0, 0.0)  # noqa: PLW2901 -- replaced on purpose
            observed = f"{rule.description}, but {failed} of them do not occur" if failed else ""
        else:
            observed = f"{rule.description}; not so in {part_of(failed, facts.rows)} rows" if failed else ""
        results.append(
            RuleResult(
                rule.name,
                rule.column,
                severity,
                failed=failed,
                share=share,
                sample_keys=samples.get(id(rule), ()),
                description=rule.description,
                observed=observed,
                row_level=rule.row_level,
            )
        )
    return results


def _samples(
    con: Connection, relation: str, contract: TableContract, facts: Facts, broken: Sequence[Rule]
) -> dict[int, tuple[str, ...]]:
    """Fetch a few keys of the rows that break each rule."""
    locator = [name for name in contract.locator if name in facts.nulls]
    conditions = {id(rule): rule.violation for rule in broken if rule.violation}
    if not locator or not conditions:
        return {}
    found = con.execute(dialect_of(con).sample(relation, locator, list(conditions.values()), ties.SAMPLES)).fetchall()[
        0
    ]
    return {
        rule: tuple(ties.shown_key(locator, row.values() if isinstance(row, dict) else row) for row in rows or ())
        for rule, rows in zip(conditions, found, strict=True)
    }


def _relax(contract: TableContract, result: RuleResult, relaxations: Relaxations, today: dt.date) -> RuleResult:
    """Attach the relaxation of a broken rule: in force it makes a warning of it, expired it is only shown."""
    if not result.broken:
        return result
    found = relaxations.find(contract, result.rule, result.column, today)
    if found is None:
        return result
    return replace(result, relaxation=found, severity=result.severity if found.expired(today) else "warn")
