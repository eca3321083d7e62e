"""From a body's bytes to applicants that can be scored, and the errors of those that cannot.

What belongs here: reading the body once, telling the errors of one applicant from those of the whole request,
relations between the rows sent. What does not: the rules of single columns (`rules`), features (`features`).

An error that can be laid at one applicant's door (its application row, or a history row that names it) fails that
applicant alone. An error that cannot (no JSON, an unknown table, a history row of nobody in the request) refuses the
whole request: scoring around it might score somebody without a row that was meant for them.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from creditrisk_serving.errors import FieldError, InvalidApplicationError, MalformedBodyError, TooManyRowsError
from creditrisk_serving.scoring.reading import Read, Reader
from creditrisk_serving.scoring.rules import (
    APPLICANT,
    APPLICANT_IDS,
    APPLICATIONS,
    BUREAU_CREDIT,
    MESSAGES,
    REQUEST,
    Rules,
    describe,
    location,
    printable,
)

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Limits:
    """How much one request may ask for."""

    applicants: int
    history_rows: int


@dataclass
class Applicant:
    """One applicant to score."""

    applicant_id: int
    table: str  # where the request names it: applications | applicant_ids
    row: int
    application: Row | None  # None: looked up by id
    histories: dict[str, list[Row]] = field(default_factory=dict)  # the rows sent for it; none: looked up by id


@dataclass
class Parsed:
    """What a request leaves standing."""

    applicants: list[Applicant]
    errors: list[FieldError]
    asked: int  # applicants the request names


@dataclass
class _Body:
    """The rows of a body, each with its index in it; what is broken was taken out and is listed apart."""

    applications: list[tuple[int, Row]]
    applicant_ids: list[tuple[int, int]]
    histories: dict[str, list[tuple[int, Row]]]
    broken: dict[tuple[str, int], Any] = field(default_factory=dict)  # (table, row) -> what was sent there
    errors: list[FieldError] = field(default_factory=list)


def parse(body: bytes, rules: Rules, reader: Reader, limits: Limits) -> Parsed:
    """Read a request.

    Parameters
    ----------
    body
        The request's body.
    rules
        The rules of the bundle in use.
    reader
        Reads at once what breaks none of them.
    limits
        How many rows it may have.

    Returns
    -------
    Parsed
        The applicants that hold all rules, in the order of the request (applications, then ids), and the errors of
        the others.

    Raises
    ------
    MalformedBodyError
        It is not JSON.
    TooManyRowsError
        It asks for more than the limits.
    InvalidApplicationError
        An error concerns the request as a whole, or it names no applicant.
    """
    read = reader.read(body)
    found = _read(body, rules) if read is None else _whole(read)
    asked = _count(found, limits)
    if asked == 0:
        raise _refused(FieldError(REQUEST, "empty", "name at least one applicant in applications or applicant_ids"))
    named = _named(found)
    failed = {applicant for applicant, places in named.items() if len(places) > 1}
    found.errors += [
        FieldError(
            table, "duplicate_applicant", "this applicant is named more than once in the request", row, APPLICANT
        )
        for applicant in sorted(failed)
        for table, row in named[applicant]
    ]
    doubled = frozenset(failed)
    histories = _histories(found, named, failed, rules)
    found.errors += [
        FieldError(table, "history_invalid", "a history row of this applicant breaks a rule", row)
        for applicant in sorted(failed - doubled)
        for table, row in named[applicant]
    ]
    applicants = [
        Applicant(row[APPLICANT], APPLICATIONS, index, row, histories.get(row[APPLICANT], {}))
        for index, row in found.applications
        if row[APPLICANT] not in failed
    ]
    applicants += [
        Applicant(applicant, APPLICANT_IDS, index, None, histories.get(applicant, {}))
        for index, applicant in found.applicant_ids
        if applicant not in failed
    ]
    return Parsed(applicants, found.errors, asked)


def lone_applicant(read: Read | None) -> Applicant | None:
    """Return the applicant of a request that names one, without histories, and holds every rule; None for any other."""
    if read is None or len(read.applications) + len(read.applicant_ids) != 1 or any(read.histories.values()):
        return None
    if read.applications:
        (row,) = read.applications
        return Applicant(row[APPLICANT], APPLICATIONS, 0, row)
    return Applicant(read.applicant_ids[0], APPLICANT_IDS, 0, None)


def _whole(read: Read) -> _Body:
    return _Body(
        applications=list(enumerate(read.applications)),
        applicant_ids=list(enumerate(read.applicant_ids)),
        histories={table: list(enumerate(rows)) for table, rows in read.histories.items()},
    )


def _read(body: bytes, rules: Rules) -> _Body:
    """Validate the whole body at once; only when that fails, again without the rows that broke a rule."""
    try:
        return _rows(rules.body.model_validate_json(body), rules)
    except ValidationError as error:
        problems = error.errors(include_url=False)
    if problems[0]["type"] == "json_invalid":
        raise MalformedBodyError(str(problems[0].get("ctx", {}).get("error", "the body is not JSON")))
    errors, whole = [], []
    broken: dict[tuple[str, int], Any] = {}
    payload = from_json(body)
    for problem in problems:
        table, row, column = location(problem["loc"])
        if row is None or table not in {APPLICATIONS, APPLICANT_IDS, *rules.histories}:
            whole.append(_misplaced(problem["type"], table))
        else:
            broken[table, row] = _sent(payload, table)[row]
            errors.append(describe(problem, table, row, column))
    if whole:
        raise _refused(*whole)
    kept = {
        table: [i for i in range(len(_sent(payload, table))) if (table, i) not in broken] for table in _tables(rules)
    }
    reduced = {table: [_sent(payload, table)[i] for i in kept[table]] for table in kept}
    again = rules.body.model_validate(
        {
            APPLICATIONS: reduced.pop(APPLICATIONS),
            APPLICANT_IDS: reduced.pop(APPLICANT_IDS),
            "histories": reduced,
        }
    )
    return _rows(again, rules, kept, broken, errors)


def _rows(
    body: BaseModel,
    rules: Rules,
    kept: Mapping[str, Sequence[int]] | None = None,
    broken: dict[tuple[str, int], Any] | None = None,
    errors: list[FieldError] | None = None,
) -> _Body:
    """Take plain rows out of a validated body; every column is there, null where it was left out."""
    sent = body.__dict__
    histories = sent["histories"].__dict__

    def indexed(table: str, rows: Sequence[Any]) -> Iterable[tuple[int, Any]]:
        return zip(range(len(rows)) if kept is None else kept[table], rows, strict=True)

    return _Body(
        applications=[(i, row.__dict__) for i, row in indexed(APPLICATIONS, sent[APPLICATIONS])],
        applicant_ids=list(indexed(APPLICANT_IDS, sent[APPLICANT_IDS])),
        histories={
            table: [(i, row.__dict__) for i, row in indexed(table, histories[table])] for table in rules.histories
        },
        broken=broken or {},
        errors=errors or [],
    )


def _tables(rules: Rules) -> tuple[str, ...]:
    return (APPLICATIONS, APPLICANT_IDS, *rules.histories)


def _sent(payload: Mapping[str, Any], table: str) -> Sequence[Any]:
    """Return the rows as sent."""
    place = payload if table in {APPLICATIONS, APPLICANT_IDS} else payload.get("histories", {})
    rows: Sequence[Any] = place.get(table, ())
    return rows


def _misplaced(kind: str, table: str) -> FieldError:
    """Describe an error above the rows."""
    if kind == "extra_forbidden":
        return FieldError(
            REQUEST, "unknown_table", "the request has no such table; GET /schema lists them", column=printable(table)
        )
    return FieldError(printable(table) or REQUEST, "type", MESSAGES["type"])


def _count(found: _Body, limits: Limits) -> int:
    """Count the applicants asked for, and refuse what is past the limits."""
    broken = Counter("applicants" if t in {APPLICATIONS, APPLICANT_IDS} else "history" for t, _ in found.broken)
    applicants = len(found.applications) + len(found.applicant_ids) + broken["applicants"]
    history = sum(map(len, found.histories.values())) + broken["history"]
    if applicants > limits.applicants:
        raise TooManyRowsError(f"a request may name at most {limits.applicants} applicants; split it")
    if history > limits.history_rows:
        raise TooManyRowsError(f"a request may hold at most {limits.history_rows} history rows; split it")
    return applicants


def _named(found: _Body) -> dict[int, list[tuple[str, int]]]:
    """List where each applicant is named, broken rows included as far as their id can be read."""
    named: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for index, row in found.applications:
        named[row[APPLICANT]].append((APPLICATIONS, index))
    for index, applicant in found.applicant_ids:
        named[applicant].append((APPLICANT_IDS, index))
    for (table, index), sent in found.broken.items():
        if table == APPLICATIONS and (readable := _identifier(sent, APPLICANT)) is not None:
            named[readable].append((table, index))
    return named


def _histories(
    found: _Body, named: Mapping[int, Sequence[tuple[str, int]]], failed: set[int], rules: Rules
) -> dict[int, dict[str, list[Row]]]:
    """Lay each history row at its applicant's door; applicants a row fails go to `failed`, the reasons to the errors.

    Raises
    ------
    InvalidApplicationError
        A row belongs to nobody in the request.
    """
    owners = _credit_owners(found)
    result: dict[int, dict[str, list[Row]]] = defaultdict(dict)
    strangers: list[FieldError] = []
    for table, rows in found.histories.items():
        seen: dict[tuple[Any, ...], int] = {}
        for index, row in rows:
            owner = _owner(row, owners)
            if owner is None or owner not in named:
                strangers.append(_stranger(table, index))
                continue
            result[owner].setdefault(table, []).append(row)
            key = tuple(row[column] for column in rules.histories[table].key)
            if key and key in seen:
                failed |= {owner, seen[key]}
                found.errors.append(_doubled(table, index, rules.histories[table].key[0]))
            seen[key] = owner
    for (table, index), sent in found.broken.items():
        if table in rules.histories:
            hit = _owner(sent, owners)
            if hit is None or hit not in named:
                strangers.append(_stranger(table, index))
            else:
                failed.add(hit)
    if strangers:
        raise _refused(*found.errors, *strangers)
    return result


def _credit_owners(found: _Body) -> dict[int, int | None]:
    """Map the credits at other lenders to applicants: monthly balances name the credit alone."""
    owners = {row[BUREAU_CREDIT]: row[APPLICANT] for _, row in found.histories.get("bureau", ())}
    for (table, _), sent in found.broken.items():
        if table == "bureau" and (credit := _identifier(sent, BUREAU_CREDIT)) is not None:
            owners.setdefault(credit, _identifier(sent, APPLICANT))
    return owners


def _owner(sent: Any, owners: Mapping[int, int | None]) -> int | None:
    """Find whose a history row is, as far as it can be read."""
    applicant = _identifier(sent, APPLICANT)
    if applicant is not None:
        return applicant
    credit = _identifier(sent, BUREAU_CREDIT)
    return None if credit is None else owners.get(credit)


def _doubled(table: str, index: int, column: str) -> FieldError:
    return FieldError(table, "duplicate_key", "another row of the request has the same key", index, column)


def _stranger(table: str, index: int) -> FieldError:
    column = APPLICANT if table != "bureau_balance" else BUREAU_CREDIT
    message = f"no applicant of the request has this row; {column} must name one that it holds"
    return FieldError(table, "unknown_applicant", message, index, column)


def _identifier(sent: Any, column: str) -> int | None:
    """Read an id out of a row that broke a rule, if it is one."""
    value = sent.get(column) if isinstance(sent, dict) else None
    if type(value) is float and value.is_integer():
        return int(value)
    return value if type(value) is int else None


def _refused(*errors: FieldError) -> InvalidApplicationError:
    return InvalidApplicationError("no row was scored; each error names table, row, column and rule", errors)
