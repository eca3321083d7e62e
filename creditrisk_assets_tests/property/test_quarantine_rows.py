"""Whatever bad rows are planted where: every row is accounted for, and the others are published as if the bad ones had not been there."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from creditrisk_assets.contracts.source import SourceContract
from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.contracts.table import ColumnSpec
from creditrisk_assets_tests.contract.tables import valid_rows
from creditrisk_assets_tests.unit.ingestion.quarantined import Taken, take, write_csv

QUICK = settings(max_examples=20, deadline=None)
NARROW = [contract for contract in SOURCES.values() if len(contract.columns) < 50]
Row = Mapping[str, str]


def wrong_texts(spec: ColumnSpec) -> list[str]:
    """Texts that are not of a column's type, or that its contract forbids."""
    texts = [] if spec.nullable else [""]
    if spec.type == "int":
        texts += ["0.5", "9007199254740992", "-inf"]
    if spec.type in ("int", "float"):
        texts += ["x", "1 000", "0x1F"]
    if spec.type == "float":
        texts.append("inf")
    if spec.minimum is not None and spec.minimum - 1 not in spec.sentinels:
        texts.append(str(spec.minimum - 1))
    if spec.categories and spec.type == "str":
        texts.append('no, such "value"')
    return texts


@st.composite
def tables(draw: st.DrawFn, contract: SourceContract) -> tuple[list[list[Row]], list[list[bool]]]:
    """Draw the files of a table, with which of their rows are bad."""
    count = draw(st.integers(1, 30), label="rows")
    rows: list[dict[str, str]] = [
        {name: "" if value is None else str(value) for name, value in row.items()}
        for row in valid_rows(contract, count)
    ]
    bad = draw(st.lists(st.booleans(), min_size=count, max_size=count), label="bad")
    columns = [spec for spec in contract.columns if wrong_texts(spec)]
    for row, planted in zip(rows, bad, strict=True):
        for spec in draw(st.lists(st.sampled_from(columns), min_size=1, max_size=3)) if planted else ():
            row[spec.name] = draw(st.sampled_from(wrong_texts(spec)), label=spec.name)
    cut = draw(st.integers(0, count), label="first row of the batch")
    return [rows[:cut], rows[cut:]], [bad[:cut], bad[cut:]]


def taken(
    directory: Path, name: str, contract: SourceContract, files: Sequence[Sequence[Row]], threads: int = 2
) -> Taken:
    header = [spec.name for spec in contract.columns]
    paths = {
        f"batch-{number}": write_csv(directory / name / f"{number}.csv", rows, header)
        for number, rows in enumerate(files)
    }
    con = duckdb.connect(config={"threads": threads})
    return take(con, directory / name / "work", paths, contract=contract, budget=1.0)


@pytest.mark.parametrize("contract", NARROW, ids=lambda contract: contract.table)
@QUICK
@given(data=st.data())
def test_bad_rows_go_to_quarantine_and_nothing_else_changes(contract: SourceContract, data: st.DataObject) -> None:
    files, bad = data.draw(tables(contract))
    good = [[row for row, planted in zip(*both, strict=True) if not planted] for both in zip(files, bad, strict=True)]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        found = taken(directory, "planted", contract, files)
        clean = taken(directory, "clean", contract, good)
        one = taken(directory, "one-thread", contract, files, threads=1)
        accounting = found.settled.accounting
        assert (accounting.read, accounting.published) == (sum(map(len, files)), sum(map(len, good)))
        assert [(batch, position) for batch, position, _ in found.set_aside] == [
            (f"batch-{number}", row + 2)
            for number, flags in enumerate(bad)
            for row, planted in enumerate(flags)
            if planted
        ]
        assert clean.set_aside == []
        assert found.published.read_bytes() == clean.published.read_bytes()
        assert found.published.read_bytes() == one.published.read_bytes()
        assert found.quarantined.read_bytes() == one.quarantined.read_bytes()
        for each in (found, clean, one):
            each.con.close()
