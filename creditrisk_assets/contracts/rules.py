"""The rules of a table contract, read off its Pandera model: name, column, words, and the SQL that counts failures.

What belongs here: the vocabulary of rules and how a model yields them. What does not: how each kind is written in SQL
(`render.sql`), running them (`check`).
"""

from dataclasses import dataclass
from typing import Any, Literal

from creditrisk_assets.contracts.render import sql
from creditrisk_assets.contracts.render.dialect import Dialect
from creditrisk_assets.contracts.table import ColumnSpec, ContractError, TableContract

Severity = Literal["error", "warn"]

RULES: dict[str, str] = {
    "missing_column": "a declared column is there",
    "unknown_column": "no column is there that is not declared",
    "column_type": "a column has its declared type",
    "not_empty": "the table has a row",
    "unique_key": "no two rows have the same key",
    "not_null": "a column that must be known is known",
    "finite": "a number is neither NaN nor infinite",
    "minimum": "a value is not below its bound",
    "maximum": "a value is not above its bound",
    "range": "a value lies between its bounds",
    "range_or_sentinel": "a value lies between its bounds or is a declared code",
    "category": "a value is on its closed list",
    "vocabulary": "a value is on its open list",
    "forbidden_value": "a value is not one of those ruled out",
    "equal": "a value is the one declared",
    "pattern": "a text has its declared form",
    "length": "a text has its declared length",
    "all_values_present": "each of the declared values occurs",
    "orphans": "values are found in the parent table",
    "exclusion": "values are not found in another table",
    "volume_in_band": "the number of rows is near that of the last good version",
    "null_share_in_band": "a column is unknown about as often as in the last good version",
    "quarantine_budget": "few enough rows break a rule on rows to leave them out",
}

STRUCTURAL: dict[str, str] = {
    "missing_column": "features read every declared column; make the source deliver it, as NULL if it is unknown",
    "column_type": "features are computed in the declared type; convert it at the source",
    "not_empty": "nothing can be learnt or scored from an empty table",
    "unique_key": "a row that is there twice is counted twice in every feature",
    "quarantine_budget": "how many rows may be left out is set per table in the sources file (quarantine_budget)",
}

_NAMES = {
    "greater_than_or_equal_to": "minimum",
    "greater_than": "minimum",
    "less_than_or_equal_to": "maximum",
    "less_than": "maximum",
    "in_range": "range",
    "range_or_sentinel": "range_or_sentinel",
    "isin": "category",
    "vocabulary": "vocabulary",
    "notin": "forbidden_value",
    "not_equal_to": "forbidden_value",
    "equal_to": "equal",
    "str_matches": "pattern",
    "str_contains": "pattern",
    "str_startswith": "pattern",
    "str_endswith": "pattern",
    "str_length": "length",
    "finite": "finite",
    "unique_values_eq": "all_values_present",
}


@dataclass(frozen=True)
class Rule:
    """One rule that a single pass over the table can decide.

    Parameters
    ----------
    name, column
        Which rule on which column.
    description
        What must hold, in words.
    aggregate
        SQL aggregate: in how many rows (or values) it does not.
    violation
        SQL condition that is true for a row breaking it; None when it is not about rows.
    severity
        What a failure is.
    tolerated_share
        Up to this share of the non-null values a failure is only a warning.
    """

    name: str
    column: str
    description: str
    aggregate: str
    violation: str | None = None
    severity: Severity = "error"
    tolerated_share: float = 0.0

    @property
    def row_level(self) -> bool:
        """Whether a row that breaks it can be left out while the rest is published.

        An unknown value on an open list is no reason to leave a row out: few are a warning, many mean that the list is outdated.
        """
        return self.violation is not None and self.severity == "error" and self.name != "vocabulary"

    @property
    def label(self) -> str:
        """Its name in a quarantine, `rule:column`."""
        return f"{self.name}:{self.column}"


def column_rules(contract: TableContract, dialect: Dialect = sql) -> tuple[Rule, ...]:
    """List the rules on the columns of a table, in file order, their SQL in an engine's dialect.

    Raises
    ------
    ContractError
        The model has a check that cannot be written in SQL.
    """
    schema = contract.schema
    if schema.checks:
        raise ContractError(
            f"{contract.table}: the model has dataframe checks, which are not rendered to SQL; "
            "state them as column checks or register a kind in contracts/kinds.py"
        )
    return tuple(
        rule
        for spec in contract.columns
        for rule in _rules_of_column(contract.table, spec, schema.columns[spec.name].checks, dialect)
    )


def _rules_of_column(table: str, spec: ColumnSpec, checks: Any, dialect: Dialect) -> list[Rule]:
    column = dialect.identifier(spec.name)
    rules = []
    if not spec.nullable:
        rules.append(_row_rule("not_null", spec.name, f"{spec.name} is never NULL", f"{column} is null"))
    if spec.type == "float":
        rules.append(
            _row_rule("finite", spec.name, f"{spec.name} is neither NaN nor infinite", dialect.not_finite(column))
        )
    for check in checks:
        if check.name == "finite":
            continue
        rules.append(_rule_of_check(table, spec, check, dialect))
    return rules


def _rule_of_check(table: str, spec: ColumnSpec, check: Any, dialect: Dialect) -> Rule:
    where = f"{table}.{spec.name}"
    if check.name not in _NAMES:
        raise ContractError(
            f"{where}: check {check.name!r} cannot be rendered to SQL; known kinds: {', '.join(sorted(_NAMES))}. "
            "Use one of them, or register the kind in contracts/kinds.py and render it in contracts/render/sql.py"
        )
    if not check.ignore_na:
        raise ContractError(f"{where}: check {check.name} has ignore_na=False; declare nullable=False instead")
    name = _NAMES[check.name]
    statistics = dict(check.statistics or {})
    words = sql.describe(check.name, statistics)
    description = f"{spec.name} {words}"
    severity: Severity = "warn" if check.raise_warning else "error"
    if name == "all_values_present":
        return Rule(
            name, spec.name, description, dialect.absent_values(spec.name, statistics["values"]), None, severity
        )
    violation = dialect.violation(check.name, dialect.identifier(spec.name), statistics)
    tolerated = statistics["unknown_share_limit"] if name == "vocabulary" else 0.0
    return _row_rule(name, spec.name, description, violation, severity=severity, tolerated_share=tolerated)


def _row_rule(
    name: str,
    column: str,
    description: str,
    violation: str,
    *,
    severity: Severity = "error",
    tolerated_share: float = 0.0,
) -> Rule:
    return Rule(name, column, description, sql.count_where(violation), violation, severity, tolerated_share)
