"""CSV of raw applications, turned into the JSON that POST /predict takes.

What belongs here: reading CSV. What does not: whether the values hold their rules (`scoring.rules` decides, as for JSON).
"""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from creditrisk_serving.errors import MalformedBodyError
from creditrisk_serving.scoring.rules import APPLICANT, APPLICANT_IDS, APPLICATIONS


def json_of_csv(body: bytes, columns: Sequence[Mapping[str, Any]]) -> bytes:
    """Turn CSV into a body of POST /predict.

    Parameters
    ----------
    body
        UTF-8; the first line names columns of an application, an empty value is left out. With SK_ID_CURR alone it lists known
        applicants.
    columns
        The application's, of the bundle's plan.

    Raises
    ------
    MalformedBodyError
        It is no CSV, names no columns or one twice, or a line has another number of values than the first.
    """
    try:
        lines = list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise MalformedBodyError("the body is not CSV in UTF-8") from error
    names, *rows = [line for line in lines if line] or [[]]
    if not names or len(set(names)) < len(names):
        raise MalformedBodyError("the first line of CSV must name the columns, each once")
    for number, row in enumerate(rows, 2):
        if len(row) != len(names):
            raise MalformedBodyError(f"line {number} of the CSV has {len(row)} values; the first has {len(names)}")
    kinds = {column["name"]: column["type"] for column in columns}
    found = [
        {name: _value(text, kinds.get(name)) for name, text in zip(names, row, strict=True) if text != ""}
        for row in rows
    ]
    if names == [APPLICANT]:
        return msgspec.json.encode({APPLICANT_IDS: [row.get(APPLICANT) for row in found]})
    return msgspec.json.encode({APPLICATIONS: found})


def _value(text: str, kind: str | None) -> Any:
    """Read a number where the column holds some; what is none stays text, for the rules to refuse."""
    if kind not in {"int", "float"}:
        return text
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text
