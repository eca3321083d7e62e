"""What the journal and the database hold: records as the exact bytes that were answered for.

What belongs here: the kinds of entries, and a record's bytes from a row and back. What does not: files (`journal`), SQL (`database`),
hashing (`chain`).

The JSON of nested columns is kept as the text it was written as, and null columns are left out, so that the bytes of a record can be put
together again from its row, whatever columns later releases add.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from creditrisk_serving.decisions.schemas import (
    JSON_COLUMNS,
    Answered,
    BatchRecord,
    DecisionRecord,
    Erasure,
    NoticeRecord,
    Review,
)

_ENCODER = msgspec.json.Encoder()


class Kind(NamedTuple):
    """A kind of chained record."""

    letter: bytes  # how its entries begin
    name: str
    table: str
    id: str  # the column that names a record
    record: type[msgspec.Struct]
    raw: type[msgspec.Struct]  # the same with nested columns left as text

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a record, in the order of its bytes."""
        return self.record.__struct_fields__


def _kind(letter: bytes, name: str, table: str, record: type[msgspec.Struct]) -> Kind:
    fields = [
        (field.name, msgspec.Raw if field.name in JSON_COLUMNS else field.type, None)
        if field.default is None
        else (field.name, msgspec.Raw if field.name in JSON_COLUMNS else field.type)
        for field in msgspec.structs.fields(record)
    ]
    return Kind(
        letter,
        name,
        table,
        f"{name}_id",
        record,
        msgspec.defstruct(f"Raw{record.__name__}", fields, frozen=True, kw_only=True),
    )


DECISION = _kind(b"D", "decision", "decisions", DecisionRecord)
ANSWER = b"A"  # how the entries of answers begin, which stand in no chain
LAYOUT = b"L"  # how the entries of layouts begin, which stand in no chain: the records that name their hash do
UNCHAINED = (ANSWER, LAYOUT)
REVIEW = _kind(b"R", "review", "reviews", Review)
ERASURE = _kind(b"E", "erasure", "erasures", Erasure)
BATCH = _kind(b"B", "batch", "batches", BatchRecord)
NOTICE = _kind(b"N", "notice", "notices", NoticeRecord)
KINDS = {kind.letter: kind for kind in (DECISION, REVIEW, ERASURE, BATCH, NOTICE)}
SEALED_KINDS = (DECISION, NOTICE)


def answer_entry(answered: Answered) -> bytes:
    """Render an answer as an entry."""
    return ANSWER + _ENCODER.encode(answered)


def layout_entry(layout: tuple[str, bytes]) -> bytes:
    """Render a layout (its id, its JSON) as an entry."""
    return LAYOUT + _ENCODER.encode({"layout": layout[0], "content": layout[1].decode()})


def entry(kind: Kind, record: msgspec.Struct) -> bytes:
    """Render a record as an entry."""
    return kind.letter + _ENCODER.encode(record)


def row(kind: Kind, body: bytes) -> dict[str, Any]:
    """Read the columns of a record from its bytes."""
    record = msgspec.json.decode(body, type=kind.raw)
    return {
        name: bytes(value).decode() if isinstance(value, msgspec.Raw) else value
        for name, value in ((name, getattr(record, name)) for name in kind.columns)
    }


def body(kind: Kind, row: Mapping[str, Any]) -> bytes:
    """Put the bytes of a record together from its columns."""
    return _ENCODER.encode(
        {
            name: msgspec.Raw(str(row[name]).encode()) if name in JSON_COLUMNS else row[name]
            for name in kind.columns
            if row[name] is not None
        }
    )
