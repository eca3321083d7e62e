"""Markdown rendered from the contracts: the data dictionary, and a check's report for the UI.

What belongs here: text for people. What does not: the words themselves (the models).

    python -m creditrisk_assets.contracts.render.markdown docs/data-dictionary.md

writes the dictionary anew; a test fails while the file differs from the contracts.
"""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from creditrisk_assets.contracts.report import ContractReport, RuleResult
from creditrisk_assets.contracts.source import SourceContract
from creditrisk_assets.contracts.table import ColumnSpec, Exclusion, Relation, TableContract

HEADER = """# Data dictionary

Generated from the contracts (`creditrisk_assets/contracts/sources/`) by `python -m creditrisk_assets.contracts.render.markdown
docs/data-dictionary.md`. Do not edit: change the contract.

A row with a value outside its bounds or its closed list goes to quarantine; past the table's budget of such rows the
table fails. A value outside an *open* list warns, and fails once it is more than 5 % of the column. Amounts are in the
lender's currency; days and months are counted from the application, negative before it. **Dating** says when a value
is known: *key* names the row; *event* from the row's own date on (marked so; an application has none), or from another
date of the row; *plan* was set in advance and may lie ahead; *snapshot* only on the application day; *outcome* only
after it, never an input. **P** marks what is, or stands for, a protected characteristic.
"""


def data_dictionary(contracts: Mapping[str, TableContract]) -> str:
    """Render the dictionary of tables.

    Parameters
    ----------
    contracts
        The tables, in the order they are to be shown.
    """
    return "\n".join([HEADER, *(_table(contract) for contract in contracts.values())])


def _table(contract: TableContract) -> str:
    key = ", ".join(f"`{name}`" for name in contract.key) or "none"
    lines = [f"## {contract.table}", "", contract.description, "", f"Key: {key}. Columns: {len(contract.columns)}."]
    lines += [f"- {_tie(tie)}" for tie in contract.relations]
    lines += [
        "",
        *_rows(["#", "column", "type", "NULL", "unit", "values", "dating", "P", "meaning"], _columns(contract)),
    ]
    return "\n".join([*lines, ""])


def _tie(tie: Relation | Exclusion) -> str:
    if isinstance(tie, Exclusion):
        return f"`{tie.column}` does not occur in `{tie.other[0]}`."
    parents = " or ".join(f"`{table}`" for table, _ in tie.parents)
    return f"`{tie.column}` is found in {parents}; at most {tie.max_orphan_share:.0%} of its values are not."


def _columns(contract: TableContract) -> list[list[str]]:
    return [
        [
            str(position),
            f"`{column.name}`",
            column.sql_type,
            "yes" if column.nullable else "no",
            column.unit,
            _values(column),
            _dating(contract, column),
            "P" if column.protected else "",
            column.description,
        ]
        for position, column in enumerate(contract.columns, 1)
    ]


def _dating(contract: TableContract, column: ColumnSpec) -> str:
    if isinstance(contract, SourceContract) and column.name == contract.dated_by:
        return f"{column.dating}: the row's own date"
    return f"{column.dating}, from `{column.known_from}` on" if column.known_from else column.dating


def _values(column: ColumnSpec) -> str:
    """Write bounds, list and codes of a column."""
    parts = []
    if column.categories is not None:
        parts.append(" · ".join(str(value) for value in column.categories))
    if column.known_categories is not None:
        parts.append("open: " + " · ".join(column.known_categories))
    if column.minimum is not None and column.maximum is not None:
        parts.append(f"{_number(column.minimum)} to {_number(column.maximum)}")
    elif column.minimum is not None:
        parts.append(f"from {_number(column.minimum)}")
    elif column.maximum is not None:
        parts.append(f"to {_number(column.maximum)}")
    parts += [f"{value}: {meaning}" for value, meaning in column.sentinels.items()]
    return "; ".join(parts)


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else str(value)


def report_table(report: ContractReport) -> str:
    """Render what a check found as a table: errors first, then warnings, then what could not be decided."""
    head = f"{report.rows:,} rows, {report.checked} rules checked: "
    if not (report.failures or report.warnings):
        head += "all hold."
    else:
        head += f"{len(report.failures)} broken, {len(report.warnings)} warnings."
    found = [*report.failures, *report.warnings, *report.not_applicable]
    if not found:
        return head
    names = ["rule", "column", "", "count", "share", "what", "sample keys"]
    return "\n".join([head, "", *_rows(names, [_result(result) for result in found])])


def _result(result: RuleResult) -> list[str]:
    mark = "not applicable" if not result.applicable else "error" if result.severity == "error" else "warning"
    words = result.observed or result.description
    if result.relaxation is not None:
        state = "relaxed until" if result.severity == "warn" else "relaxation expired on"
        words += f" ({state} {result.relaxation.expires}, {result.relaxation.owner}: {result.relaxation.reason})"
    share = f"{result.share:.2%}" if result.applicable else ""
    count = f"{result.failed:,}" if result.applicable else ""
    return [result.rule, result.column or "", mark, count, share, words, " · ".join(result.sample_keys)]


def _rows(names: list[str], rows: Iterable[list[str]]) -> list[str]:
    """Write a Markdown table; a bar inside a cell is escaped."""
    body = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}", *body]


def main() -> None:
    """Write the data dictionary of the raw tables to the path given."""
    from creditrisk_assets.contracts.sources import SOURCES  # noqa: PLC0415 -- rendering a report needs no models

    Path(sys.argv[1]).write_text(data_dictionary(SOURCES), "utf-8")


if __name__ == "__main__":
    main()
