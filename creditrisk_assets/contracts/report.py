"""What a check found: results per rule, the table's profile, and the report that carries both.

What belongs here: the results and their JSON form. What does not: finding them (`check`), showing them
(`render.markdown`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from creditrisk_assets.contracts.relaxations import Relaxation
from creditrisk_assets.contracts.rules import Severity


def part_of(some: int, total: int) -> str:
    """Write a part of a whole for people, never rounding a few to none."""
    share = some / total if total else 0.0
    return f"{some:,} of {total:,} ({'under 0.01%' if 0 < share < 0.0001 else f'{share:.2%}'})"


@dataclass(frozen=True)
class Profile:
    """The shape of a good version, against which the next one is compared.

    Parameters
    ----------
    rows
        Number of rows.
    null_shares
        Column to the share of rows where it is NULL (0–1).
    orphan_shares
        Child column and parents (`SK_ID_PREV -> previous_application`) to the share of distinct values without a
        parent (0–1).
    """

    rows: int
    null_shares: Mapping[str, float] = field(default_factory=dict)
    orphan_shares: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"rows": self.rows, "null_shares": dict(self.null_shares), "orphan_shares": dict(self.orphan_shares)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote."""
        return cls(values["rows"], dict(values["null_shares"]), dict(values.get("orphan_shares", {})))


@dataclass(frozen=True)
class RuleResult:
    """What became of one rule on one column.

    Parameters
    ----------
    rule, column
        Which rule; the column is None for a rule on the whole table.
    severity
        `error` stops the table from being published, `warn` is shown.
    failed
        Rows (for relations: distinct values) that break it; 0 when it holds.
    share
        The same as a share of all rows (0–1), or the share the rule is about.
    sample_keys
        At most 20 keys of such rows; never another value.
    description
        What must hold, in words.
    relaxation
        The relaxation found for it, in force or expired.
    applicable
        False when there was nothing to decide it by (no earlier version, no parent table); then it neither passed nor
        failed.
    observed
        What was found and what to do, in words.
    row_level
        Whether the rows that break it can be left out (quarantined) while the rest is published.
    """

    rule: str
    column: str | None
    severity: Severity
    failed: int = 0
    share: float = 0.0
    sample_keys: tuple[str, ...] = ()
    description: str = ""
    relaxation: Relaxation | None = None
    applicable: bool = True
    observed: str = ""
    row_level: bool = False

    @property
    def label(self) -> str:
        """Its name in a quarantine, `rule:column`."""
        return f"{self.rule}:{self.column}" if self.column else self.rule

    @property
    def broken(self) -> bool:
        """Whether the rule does not hold."""
        return self.applicable and self.failed > 0

    def message(self, table: str) -> str:
        """Say in one line what is wrong."""
        where = f"{table}.{self.column}" if self.column else table
        text = f"{where}: {self.rule}: {self.observed or self.description}"
        if self.sample_keys:
            text += f"; for example {' | '.join(self.sample_keys[:3])}"
        if self.relaxation is not None and self.severity == "warn":
            text += f" [relaxed until {self.relaxation.expires} by {self.relaxation.owner}: {self.relaxation.reason}]"
        elif self.relaxation is not None:
            text += f" [its relaxation by {self.relaxation.owner} expired on {self.relaxation.expires}]"
        return text

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "rule": self.rule,
            "column": self.column,
            "severity": self.severity,
            "failed": self.failed,
            "share": self.share,
            "sample_keys": list(self.sample_keys),
            "description": self.description,
            "relaxation": self.relaxation.model_dump(mode="json") if self.relaxation else None,
            "applicable": self.applicable,
            "observed": self.observed,
            "row_level": self.row_level,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote."""
        relaxation = values["relaxation"]
        plain = cls(**{**values, "sample_keys": tuple(values["sample_keys"]), "relaxation": None})
        return replace(plain, relaxation=Relaxation.model_validate(relaxation)) if relaxation else plain


@dataclass(frozen=True)
class ContractReport:
    """What a check of one table found.

    Parameters
    ----------
    table
        Its name.
    rows
        How many rows it has.
    results
        One per rule and column, in the contract's order; read back from JSON, only those that did not simply pass.
    profile
        Its shape, to be kept with the version that is published.
    checked
        How many rules were decided.
    """

    table: str
    rows: int
    results: tuple[RuleResult, ...]
    profile: Profile
    checked: int

    @property
    def failures(self) -> tuple[RuleResult, ...]:
        """Broken rules that stop the table from being published."""
        return tuple(result for result in self.results if result.broken and result.severity == "error")

    @property
    def row_failures(self) -> tuple[RuleResult, ...]:
        """Those failures that only stop the rows that break them, as long as these are few enough."""
        return tuple(result for result in self.failures if result.row_level)

    @property
    def warnings(self) -> tuple[RuleResult, ...]:
        """Broken rules that do not, relaxed ones among them."""
        return tuple(result for result in self.results if result.broken and result.severity == "warn")

    @property
    def not_applicable(self) -> tuple[RuleResult, ...]:
        """Rules that could not be decided."""
        return tuple(result for result in self.results if not result.applicable)

    @property
    def passed(self) -> bool:
        """Whether the table may be published."""
        return not self.failures

    def told(self, results: Iterable[RuleResult]) -> Self:
        """Return the report with some results put first, in place of those on the same rule and column."""
        first = tuple(results)
        labels = {result.label for result in first}
        kept = (*first, *(result for result in self.results if result.label not in labels))
        return replace(self, results=kept, checked=sum(result.applicable for result in kept))

    def summary(self, limit: int = 10) -> str:
        """Say line by line what is wrong: errors first, then warnings."""
        found = [*self.failures, *self.warnings]
        lines = [result.message(self.table) for result in found[:limit]]
        if len(found) > limit:
            lines.append(f"… and {len(found) - limit} more")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values: what did not simply pass in full, the rest as a number."""
        kept = [result.to_dict() for result in self.results if result.broken or not result.applicable]
        return {
            "table": self.table,
            "rows": self.rows,
            "passed": self.passed,
            "checked": self.checked,
            "results": kept,
            "profile": self.profile.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote."""
        return cls(
            table=values["table"],
            rows=values["rows"],
            results=tuple(RuleResult.from_dict(each) for each in values["results"]),
            profile=Profile.from_dict(values["profile"]),
            checked=values["checked"],
        )
