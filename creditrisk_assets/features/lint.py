"""The linter of family SQL: `python -m creditrisk_assets.features.lint`, run by `make check`.

What belongs here: rules that keep one text exact, deterministic and valid on DuckDB and Spark, and rendered where there is a grid. What
does not: whether a value is right (given/expect rows in the tests), whether it is in bounds (the contracts).
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from creditrisk_assets.contracts.features import GRIDS
from creditrisk_assets.features.conversions import unrounded
from creditrisk_assets.features.families import FAMILIES, Family
from creditrisk_assets.features.lineage import LineageError, lineage
from creditrisk_assets.features.plan import input_types
from creditrisk_assets.features.program import ProgramError, render_program
from creditrisk_assets.features.render import rendered
from creditrisk_assets.features.statement import KEY

HEADER = re.compile(
    r"-- family: (?P<family>\w+) \| grain: (?P<grain>[^|\n]+) \| owner: (?P<owner>team:[\w-]+)\n"
    r"-- inputs: (?P<inputs>[\w, ]+) \| known at: (?P<known>[^\n]+)\n"
)
NAME = re.compile(
    r"__(?:(?:is|has)_\w+|\w+?_(?:amt|days|months|count|ratio|share|score|level|hours|category)(?:_\w+)?)$"
)
DIALECTS = ("duckdb", "spark")
# Their result depends on the order of rows, on the engine, or is not exact.
FORBIDDEN = (exp.Avg, exp.Stddev, exp.StddevPop, exp.StddevSamp, exp.Variance, exp.VariancePop, exp.First, exp.Last,
             exp.AnyValue, exp.ArgMax, exp.ArgMin, exp.ApproxDistinct, exp.Rand)  # fmt: skip


def lint(family: Family) -> list[str]:
    """Return what is wrong with a family's SQL, one sentence each; empty when it is sound."""
    return [f"{family.name}.sql: {problem}" for problem in _problems(family)]


def _problems(family: Family) -> Iterator[str]:
    yield from _header(family)
    try:
        statements = {dialect: sqlglot.parse(family.sql, read=dialect) for dialect in DIALECTS}
    except SqlglotError as error:
        yield f"does not parse: {' '.join(str(error).split())[:200]}"
        return
    for dialect, parsed in statements.items():
        if len(parsed) != 1 or not isinstance(parsed[0], exp.Select):
            yield f"must be one SELECT statement in the {dialect} dialect"
            return
    statement = statements["duckdb"][0]
    yield from _outputs(family, statement)
    yield from _expressions(statement)
    try:
        lineage(family)
    except LineageError as error:
        yield f"its lineage cannot be told: {error}"
        return
    yield from _conversions(family, statement)


def _header(family: Family) -> Iterator[str]:
    match = HEADER.match(family.sql)
    if match is None:
        yield "must start with `-- family: … | grain: … | owner: team:…` and `-- inputs: … | known at: …`"
        return
    declared = {
        "family": (match["family"], family.name),
        "grain": (match["grain"].strip().lower(), family.grain.lower()),
        "owner": (match["owner"], family.owner),
        "inputs": (tuple(part.strip() for part in match["inputs"].split(",")), family.views),
    }
    for what, (said, registered) in declared.items():
        if said != registered:
            yield f"header says {what} {said}, the registry says {registered}"


def _outputs(family: Family, statement: exp.Select) -> Iterator[str]:
    names = [item.alias_or_name for item in statement.expressions]
    if names[:1] != [KEY]:
        yield f"its first column must be {KEY}"
    for name in names[1:]:
        if not name.startswith(f"{family.name}__"):
            yield f"output {name} must start with {family.name}__"
        elif name != name.lower() or not NAME.search(name):
            yield f"output {name} must be lower case and name its unit (_amt, _days, …) or start with is_ or has_"
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"output {name} is there twice"
    if statement.args.get("order") is not None:
        yield "the engine orders the result; drop the final ORDER BY"


def _expressions(statement: exp.Select) -> Iterator[str]:
    for star in statement.find_all(exp.Star):
        if not isinstance(star.parent, exp.Count):
            yield "`*` hides columns; list them"
    for division in statement.find_all(exp.Div, exp.IntDiv):
        if not _cannot_be_zero(division.expression):
            yield f"`{division.sql('duckdb')[:80]}` may divide by zero; write `x / nullif(y, 0)`"
    for parameter in statement.find_all(exp.Placeholder, exp.Parameter):
        yield f"parameter `{parameter.sql('duckdb')}`: family SQL takes none; the engine cuts and re-bases the inputs"
    for number in statement.find_all(exp.Literal):
        if not number.is_string and re.fullmatch(r"\d*\.\d*", number.name):
            yield f"decimal literal {number.name} in arithmetic: it is exact in one engine and double in another; write 5e-1"
    for call in statement.find_all(*FORBIDDEN):
        yield f"`{call.sql('duckdb')[:60]}` depends on row order or on the engine; use sum, count, min and max"
    for window in statement.find_all(exp.Window):
        order = window.args.get("order")
        if order is None or len(order.expressions) < 2:
            yield f"`{window.sql('duckdb')[:80]}` needs a total order: break ties by a key"
    yield from _engines_differ(statement)


def _engines_differ(statement: exp.Select) -> Iterator[str]:
    """Yield what runs on DuckDB and on Spark and gives other values there (each found by the parity tests)."""
    for rounding in statement.find_all(exp.Round):
        if (digits := rounding.args.get("decimals")) is not None and digits.name != "0":
            yield (
                f"`{rounding.sql('duckdb')[:80]}` breaks ties differently in the engines; scale first: round(1000000 * x) / 1000000"
            )
    for call in statement.find_all(exp.Log, exp.Concat):
        if isinstance(call, exp.Concat) or call.args.get("expression") is None:
            yield f"`{call.sql('duckdb')[:60]}` means another thing in each engine; use ln(x), or || for texts that are known"
    for text in statement.find_all(exp.Literal):
        if text.is_string and set(text.name) & set("'\\"):
            yield f"text {text.sql('duckdb')}: a quote or a backslash in it is read differently by the engines"


def _conversions(family: Family, statement: exp.Select) -> Iterator[str]:
    """Yield casts of which the engines make different numbers; features the contract does not know are taken as doubles."""
    declared = dict(family.columns)
    names = [item.alias_or_name for item in statement.expressions]
    if KEY not in names:
        return
    names.remove(KEY)
    try:
        program = render_program(
            family.sql, input_types(family), [(name, declared.get(name, "DOUBLE")) for name in names]
        )
    except ProgramError as error:
        yield f"the types of its values cannot be told: {error}"
        return
    for columns, kind in unrounded(program):
        remedy = "cast(round(1000 * …) / 1000 as …)" if kind.startswith("DECIMAL") else "cast(round(…) as …)"
        yield f"{columns} becomes {kind} unrounded, which each engine does in its own way; write {remedy}"


def _cannot_be_zero(divisor: exp.Expression) -> bool:
    while isinstance(divisor, exp.Paren):
        divisor = divisor.this
    if isinstance(divisor, exp.Literal):
        return not divisor.is_string and float(divisor.name) != 0
    return isinstance(divisor, exp.Nullif) and divisor.expression.name == "0"


def main() -> int:
    """Lint every family; print what is wrong and return 1 if anything is."""
    problems = [problem for family in FAMILIES.values() for problem in lint(family)]
    stray = {path.stem for path in (Path(__file__).parent / "sql").glob("*.sql")} - set(FAMILIES)
    problems += [f"{name}.sql: no family of that name is registered in families.py" for name in sorted(stray)]
    problems += [
        f"{name}.sql: is not what its rows and its grid give; run `python -m creditrisk_assets.features.render`"
        for name in GRIDS
        if FAMILIES[name].sql != rendered(name)
    ]
    sys.stdout.writelines(f"{problem}\n" for problem in problems)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
