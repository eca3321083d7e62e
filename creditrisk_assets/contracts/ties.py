"""Checks of rows against each other and against other tables: keys, orphans, exclusions.

What belongs here: what one scan of counts cannot decide. What does not: rules on columns (`check`), the bands
(`bands`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from creditrisk_assets.contracts import bands
from creditrisk_assets.contracts.render.dialect import Connection, dialect_of
from creditrisk_assets.contracts.report import Profile, RuleResult, part_of
from creditrisk_assets.contracts.rules import Rule
from creditrisk_assets.contracts.table import Exclusion, Relation, TableContract

SAMPLES = 20
PACKED_BITS = 800_000_000  # 100 MB; DuckDB's bitstrings end at a thousand million
BITS_PER_HASHED_ROW = 512  # what hashing a key costs instead
ROWS_PER_SLICE = 4_000_000  # keys hashed at a time: about 300 MB


@dataclass(frozen=True)
class Facts:
    """What the one scan found."""

    rows: int
    nulls: Mapping[str, int]
    failed: tuple[tuple[Rule, int], ...]
    ranges: Mapping[str, tuple[int, int] | None]  # of whole-number key columns


def shown_key(names: Sequence[str], parts: Iterable[object]) -> str:
    """Write a key for people."""
    return ", ".join(f"{name}={part}" for name, part in zip(names, parts, strict=True))


def unique_key(con: Connection, relation: str, contract: TableContract, facts: Facts) -> RuleResult:
    """Count surplus rows exactly, in bounded memory."""
    description = f"({', '.join(contract.key)}) names one row"
    slices = max(1, -(-facts.rows // ROWS_PER_SLICE))
    ranges = {name: found for name in contract.key if (found := facts.ranges.get(name)) is not None}
    complete = all(facts.nulls[name] == 0 for name in contract.key)
    if complete and len(ranges) == len(contract.key) and _fits(ranges, facts.rows):
        distinct = con.execute(dialect_of(con).distinct_packed(relation, ranges)).fetchall()[0][0] or 0
        surplus, repeated = facts.rows - distinct, []
        if surplus:
            repeated = _repeated(con, relation, contract.key, slices, only_samples=True)[1]
    else:
        surplus, repeated = _repeated(con, relation, contract.key, slices, only_samples=False)
    share = surplus / facts.rows if facts.rows else 0.0
    return RuleResult(
        "unique_key",
        None,
        "error",
        failed=surplus,
        share=share,
        sample_keys=tuple(repeated),
        description=description,
        observed=f"{description}; {part_of(surplus, facts.rows)} rows repeat another" if surplus else "",
    )


def _fits(ranges: Mapping[str, tuple[int, int]], rows: int) -> bool:
    """Tell whether one bit per possible key is less than hashing the keys."""
    size = 1
    for low, high in ranges.values():
        size *= high - low + 1
    return size <= min(PACKED_BITS, max(rows * BITS_PER_HASHED_ROW, 1_000_000))


def _repeated(
    con: Connection, relation: str, key: Sequence[str], slices: int, *, only_samples: bool
) -> tuple[int, list[str]]:
    """Find repeated keys slice by slice: how many surplus rows, and a few keys."""
    surplus = 0
    samples: list[str] = []
    for part in range(slices):
        if not only_samples:
            surplus += con.execute(dialect_of(con).surplus(relation, key, part, slices)).fetchall()[0][0]
        if len(samples) < SAMPLES and (only_samples or surplus):
            query = dialect_of(con).first_duplicates(relation, key, part, slices, limit=SAMPLES - len(samples))
            samples += [shown_key(key, row[:-1]) for row in con.execute(query).fetchall()]
        if only_samples and len(samples) >= SAMPLES:
            break
    return surplus, samples


def orphans(
    con: Connection,
    relation: str,
    tie: Relation,
    tables: Mapping[str, str],
    baseline: Profile | None,
) -> tuple[RuleResult, float | None]:
    """Judge the share of distinct values that have no parent; return it too, None when it is not known."""
    names = " or ".join(table for table, _ in tie.parents)
    description = f"at most {tie.max_orphan_share:.0%} of the values of {tie.column} are not in {names}"
    there = [(tables[table], column) for table, column in tie.parents if table in tables]
    if not there:
        return _undecided("orphans", tie.column, description, f"{names} is not there to compare with"), None
    keys, found, some = con.execute(dialect_of(con).matches(relation, tie.column, there)).fetchall()[0]
    if not keys or not some:
        side = names if keys else tie.column
        return _undecided("orphans", tie.column, description, f"{side} has no value to compare with"), None
    lost = keys - found
    share = lost / keys
    observed = f"{part_of(lost, keys)} values are not in {names}"
    verdict, advice = bands.judge_orphans(
        share, tie.max_orphan_share, baseline.orphan_shares.get(tie.name) if baseline else None
    )
    samples: tuple[str, ...] = ()
    if verdict != "pass":
        query = dialect_of(con).matching_keys(relation, tie.column, there, orphans=True, limit=SAMPLES)
        samples = tuple(f"{tie.column}={value}" for (value,) in con.execute(query).fetchall())
    result = RuleResult(
        "orphans",
        tie.column,
        "warn" if verdict == "warn" else "error",
        failed=0 if verdict == "pass" else lost,
        share=share,
        sample_keys=samples,
        description=description,
        observed=f"{observed}{advice}",
    )
    return result, share


def exclusion(con: Connection, relation: str, tie: Exclusion, tables: Mapping[str, str]) -> RuleResult:
    """Judge that no value occurs in the other table."""
    table, column = tie.other
    description = f"no value of {tie.column} is in {table}"
    if table not in tables:
        return _undecided("exclusion", tie.column, description, f"{table} is not there to compare with")
    other = [(tables[table], column)]
    keys, found, _ = con.execute(dialect_of(con).matches(relation, tie.column, other)).fetchall()[0]
    samples: tuple[str, ...] = ()
    if found:
        query = dialect_of(con).matching_keys(relation, tie.column, other, orphans=False, limit=SAMPLES)
        samples = tuple(f"{tie.column}={value}" for (value,) in con.execute(query).fetchall())
    return RuleResult(
        "exclusion",
        tie.column,
        "error",
        failed=found,
        share=found / keys if keys else 0.0,
        sample_keys=samples,
        description=description,
        observed=f"{part_of(found, keys)} values are also in {table}" if found else "",
    )


def _undecided(rule: str, column: str, description: str, why: str) -> RuleResult:
    return RuleResult(rule, column, "warn", description=description, applicable=False, observed=why)
