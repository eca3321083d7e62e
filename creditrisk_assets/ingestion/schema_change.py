"""How the columns a file delivers differ from the contract and from what was accepted before.

What belongs here: judging a change as nothing, additive or breaking, and writing it as a diff. What does not: reading the columns of a
file (`table_file`), what is done about a change (the raw asset), where the accepted schema is kept (the facts of a version).

Breaking is what keeps the declared columns from being read: one is missing, delivered twice, or of another kind (a number became a
text). Additive is what changes nothing that is read: a column nobody declared came or went, a number got wider. The order of columns
means nothing.
"""

import difflib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from creditrisk_assets.contracts.table import TableContract
from creditrisk_assets.ingestion.table_file import Schema, TableFile

Kind = Literal["none", "additive", "breaking"]

LIKENESS = 0.6  # of two names, from which one may be the other renamed
SHOWN = 8  # names in a sentence; the diff has all of them
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
_NUMBERS = re.compile(r"(U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL\(.*\))")


@dataclass(frozen=True)
class SchemaChange:
    """How delivered columns differ from the accepted ones and from the contract.

    Parameters
    ----------
    kind
        `none`, `additive` (read, recorded and warned about) or `breaking` (nothing is read).
    lines
        The differences for people: `+ NEW_COLUMN (not declared: left out)`, `- CREDIT_TYPE (declared, missing)`,
        `~ AMT_CREDIT DOUBLE -> VARCHAR (declared DOUBLE)`.
    words
        The same in one line: `missing column CREDIT_TYPE; unknown column CREDIT_KIND`.
    undeclared
        Names that are left out, whether they are new or not.
    """

    kind: Kind
    lines: tuple[str, ...]
    words: str
    undeclared: tuple[str, ...]

    @property
    def diff(self) -> str:
        """The differences, a line each."""
        return "\n".join(self.lines)

    def message(self, file: TableFile, contract: TableContract) -> str:
        """Say in one line what changed and what to do."""
        where = f"{file.table}: {self.words} in {file.address}"
        signs = {line[0] for line in self.lines}
        if self.kind == "breaking":
            return f"{where}; the contract declares {len(contract.columns)} columns (docs/data-dictionary.md)"
        read = "numbers are read as the contract declares them" if "~" in signs else "nothing that is read has changed"
        return f"{where}; {read}" + (". Declare a column in the contract to use it" if "+" in signs else "")


def classify(previous: Schema | None, delivered: Schema, contract: TableContract) -> SchemaChange:
    """Judge delivered columns against the contract and the last accepted schema.

    Parameters
    ----------
    previous
        Schema of the last version that was published; None when there is none.
    delivered
        What the file holds.
    contract
        Declares the columns that are read.
    """
    declared = {spec.name: spec.sql_type for spec in contract.columns}
    types = dict(delivered.columns)
    before = dict(previous.columns) if previous else {}
    missing = [name for name in declared if name not in types]
    if len(missing) == len(declared) and (wrong := _not_its_header(delivered.names, list(declared))):
        return SchemaChange("breaking", (f"- {wrong}",), wrong, ())
    undeclared = [name for name in delivered.names if name not in declared]
    repeated = _repeated(delivered.names)
    turned = [name for name in declared if _of_another_kind(types.get(name), declared[name])]
    new = [name for name in undeclared if name not in before]
    gone = [name for name in before if name not in types and name not in declared]
    changed = [
        name
        for name in declared
        if name not in turned and before.get(name) and types.get(name) and before[name] != types[name]
    ]
    lines = [f"- {name} (declared, missing{_hint(name, undeclared)})" for name in missing]
    lines += [f"+ {_printable(name)} (delivered more than once)" for name in repeated]
    lines += [
        f"~ {name} {before.get(name) or declared[name]} -> {types[name]} (declared {declared[name]})" for name in turned
    ]
    lines += [f"+ {_printable(name)} (not declared: left out)" for name in new]
    lines += [f"- {_printable(name)} (was not declared: nothing read it)" for name in gone]
    lines += [f"~ {name} {before[name]} -> {types[name]}" for name in changed]
    words = {
        "missing column": missing,
        "unknown column": [_printable(name) for name in new],
        "repeated column": [_printable(name) for name in repeated],
        "column of another kind": [f"{name} ({types[name]}, declared {declared[name]})" for name in turned],
        "no longer delivered": [_printable(name) for name in gone],
        "type changed": [f"{name} ({before[name]} to {types[name]})" for name in changed],
    }
    return SchemaChange(
        kind="breaking" if missing or repeated or turned else "additive" if lines else "none",
        lines=tuple(lines),
        words="; ".join(f"{what} {_listed(names)}" for what, names in words.items() if names),
        undeclared=tuple(_printable(name) for name in undeclared),
    )


def _not_its_header(names: Sequence[str], declared: Sequence[str]) -> str:
    """Say what is wrong with a first line that names none of the declared columns; nothing when it names them in other letters.

    What stands in it may be a row, so none of it is shown.
    """
    known = {name.casefold() for name in declared}
    if any(name.strip().casefold() in known for name in names):
        return ""
    for sign, word in SEPARATORS.items():
        if known & {part.strip(' "').casefold() for name in names for part in name.split(sign)}:
            return f"columns separated by {word} instead of commas"
    return f"a first line that names none of the {len(declared)} declared columns (no header, or another table's)"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _repeated(names: Sequence[str]) -> list[str]:
    """List names that occur more than once; case does not tell columns apart in SQL."""
    counts = Counter(name.casefold() for name in names if name)
    return list(dict.fromkeys(name for name in names if counts[name.casefold()] > 1))


def _of_another_kind(delivered: str | None, declared: str) -> bool:
    """Tell whether a delivered type cannot hold what is declared: numbers hold numbers, anything else only itself."""
    if delivered is None:
        return False
    if _NUMBERS.fullmatch(declared):
        return not _NUMBERS.fullmatch(delivered)
    return delivered != declared


def _hint(name: str, candidates: Sequence[str]) -> str:
    close = difflib.get_close_matches(name.casefold(), [other.casefold() for other in candidates], n=1, cutoff=LIKENESS)
    found = next((other for other in candidates if close and other.casefold() == close[0]), None)
    return f"; renamed to {_printable(found)}?" if found else ""


def _printable(name: str) -> str:
    if not name:
        return "(unnamed)"
    return name if name.isprintable() and len(name) <= 64 else "(unprintable name)"
