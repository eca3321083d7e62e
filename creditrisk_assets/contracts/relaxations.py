"""Rules relaxed by name: which, for how long, why, and who answers for it.

What belongs here: reading and finding relaxations. What does not: what a relaxed rule then does (`check`), where the
file lies (`settings`).

No switch turns the contracts off. A rule that fails on data a lender must take as they are is relaxed in
configuration, for one table and if wanted one column, until a date; it is then reported as a warning that carries the
reason. Rules without which nothing downstream can be computed (`STRUCTURAL`) cannot be relaxed.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from creditrisk_assets.contracts.rules import RULES, STRUCTURAL
from creditrisk_assets.contracts.table import TableContract


class RelaxationError(ValueError):
    """The relaxations file is wrong; the message names the entry and what to change."""


class Relaxation(BaseModel):
    """One rule of one table, relaxed until a date."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    table: str = Field(
        min_length=1, description="Table by its lake key (`raw/bureau`), or by name where only one table has it."
    )
    rule: str = Field(min_length=1, description="Name of the rule, as in the contract's report.")
    column: str | None = Field(None, description="Column; none: the rule on every column of the table.")
    reason: str = Field(min_length=10, description="Why the rule may fail for now.")
    owner: str = Field(min_length=1, description="Who answers for it.")
    expires: dt.date = Field(description="Last day on which it counts.")

    def expired(self, today: dt.date) -> bool:
        """Tell whether its last day has passed."""
        return today > self.expires

    def is_about(self, contract: TableContract) -> bool:
        """Tell whether it names this table."""
        return self.table in (contract.table, contract.lake_key)

    def covers(self, contract: TableContract, rule: str, column: str | None) -> bool:
        """Tell whether it is about this rule."""
        return self.is_about(contract) and self.rule == rule and self.column in (None, column)


class Relaxations(BaseModel):
    """All relaxations of a deployment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    entries: tuple[Relaxation, ...] = ()

    def find(self, contract: TableContract, rule: str, column: str | None, today: dt.date) -> Relaxation | None:
        """Return the relaxation about a rule, one in force before an expired one; None when there is none."""
        found = [entry for entry in self.entries if entry.covers(contract, rule, column)]
        return min(found, key=lambda entry: entry.expired(today), default=None)

    def active(self, contract: TableContract, today: dt.date | None = None) -> tuple[Relaxation, ...]:
        """List those in force for a table; on the present day (UTC) unless told another."""
        day = today or dt.datetime.now(dt.UTC).date()
        return tuple(entry for entry in self.entries if entry.is_about(contract) and not entry.expired(day))

    def expired(self, today: dt.date) -> tuple[Relaxation, ...]:
        """List those that no longer count and should be renewed or removed."""
        return tuple(entry for entry in self.entries if entry.expired(today))


NONE = Relaxations()


def load(path: Path, contracts: Iterable[TableContract] | Mapping[str, TableContract] | None = None) -> Relaxations:
    """Read the relaxations file.

    Parameters
    ----------
    path
        A YAML list of entries; an absent file relaxes nothing.
    contracts
        The tables that exist; by default every one with a contract.

    Raises
    ------
    RelaxationError
        The file is not such a list, or an entry names a table, rule or column that does not exist or a rule that
        cannot be relaxed.
    """
    if not path.exists():
        return NONE
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RelaxationError(f"{path} is not valid YAML: {error}") from error
    try:
        entries = TypeAdapter(tuple[Relaxation, ...]).validate_python(content or ())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise RelaxationError(
            f"{path}: entry {where}: {first['msg']}; "
            "an entry has table, rule, column (optional), reason, owner, expires"
        ) from error
    if isinstance(contracts, Mapping):
        contracts = contracts.values()
    if contracts is None and entries:
        from creditrisk_assets.contracts.catalogue import all_tables  # noqa: PLC0415 -- importing the models takes seconds

        contracts = all_tables()
    tables = tuple(contracts or ())
    for position, entry in enumerate(entries):
        if problem := _problem(entry, tables):
            raise RelaxationError(f"{path}: entry {position}: {problem}")
    return Relaxations(entries=entries)


def _problem(entry: Relaxation, contracts: Sequence[TableContract]) -> str | None:
    """Say what is wrong with an entry, if anything."""
    meant = [contract for contract in contracts if entry.is_about(contract)]
    if not meant:
        return f"there is no table {entry.table}; there are {', '.join(sorted(each.lake_key for each in contracts))}"
    if len(meant) > 1:
        return f"{entry.table} may be {' or '.join(each.lake_key for each in meant)}; name one of them"
    if entry.rule in STRUCTURAL:
        return f"{entry.rule} cannot be relaxed: {STRUCTURAL[entry.rule]}"
    if entry.rule not in RULES:
        return f"there is no rule {entry.rule}; there are {', '.join(sorted(set(RULES) - set(STRUCTURAL)))}"
    columns = [column.name for column in meant[0].columns]
    if entry.column is not None and entry.rule != "unknown_column" and entry.column not in columns:
        return f"{entry.table} has no column {entry.column}"
    return None
