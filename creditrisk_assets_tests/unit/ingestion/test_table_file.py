"""A plain file tells its columns, and the place of each row as a person finds it."""

import csv
import io
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from creditrisk_assets.ingestion.connector import IngestionError
from creditrisk_assets.ingestion.table_file import Schema, TableFile, delivered_schema, numbered, placed, places


def csv_file(directory: Path, content: str | bytes) -> TableFile:
    path = directory / "bureau.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return TableFile("bureau", "s3://feeds/bureau.csv", path, "csv")


def schema_of(file: TableFile) -> Schema:
    with duckdb.connect() as con:
        return delivered_schema(con, file)


def lines_of(file: TableFile, rows: int) -> list[int]:
    with duckdb.connect() as con:
        shifts = places(file, rows)
        there = placed(con, shifts, f"select range as row_number from range({rows})")
        back = con.execute(
            f"select row_number from ({numbered(con, shifts, f'select position from ({there})')}) order by 1"
        )
        assert back.fetchall() == [(row,) for row in range(rows)]
        return [place for (place,) in con.execute(f"select position from ({there}) order by row_number").fetchall()]


def test_a_csv_tells_names_in_order_without_a_byte_order_mark(tmp_path: Path) -> None:
    assert schema_of(csv_file(tmp_path, '\ufeffA,"B, b",\r\n1,2,3\r\n')).columns == (
        ("A", None),
        ("B, b", None),
        ("", None),
    )


def test_a_parquet_file_tells_types_but_not_of_columns_without_a_value(tmp_path: Path) -> None:
    path = tmp_path / "bureau.parquet"
    pq.write_table(pa.table({"A": [1], "B": ["x"], "C": pa.nulls(1)}), path)
    schema = schema_of(TableFile("bureau", "bureau.parquet", path, "parquet"))
    assert schema.columns == (("A", "BIGINT"), ("B", "VARCHAR"), ("C", None))
    assert Schema.from_json(schema.to_json()) == schema


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    file = TableFile("bureau", "s3://feeds/bureau.csv", tmp_path / "nowhere.csv", "csv")
    with pytest.raises(IngestionError, match=r"bureau: s3://feeds/bureau.csv cannot be read \(No such file"):
        schema_of(file)


def test_a_name_that_would_be_read_as_a_pattern_is_refused(tmp_path: Path) -> None:
    for name in ("bureau1.csv", "bureau[1].csv"):
        (tmp_path / name).write_text("A\n1\n")
    with pytest.raises(IngestionError, match=r"bureau\[1\]\.csv holds \[, which readers take for a pattern"):
        schema_of(TableFile("bureau", "feeds/bureau[1].csv", tmp_path / "bureau[1].csv", "csv"))


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ("A,B\n1,x\n2,y\n", [2, 3]),
        ("A,B\n1,x\n2,y", [2, 3]),
        ("A,B\r\n1,x\r\n2,y\r\n", [2, 3]),
        ("A,B\n\n1,x\n\n\n2,y\n\n", [3, 6]),
        ('A,B\n1,"x\n\ny"\n2,z\n3,"a""\n""b"\n4,w\n', [2, 5, 6, 8]),
        ('A,"B\nb"\n1,x\n2,y\n', [3, 4]),
        ("A,B\r1,x\r2,y\r", [2, 3]),
    ],
)
def test_a_row_is_on_the_line_an_editor_shows(tmp_path: Path, content: str, lines: list[int]) -> None:
    assert lines_of(csv_file(tmp_path, content), len(lines)) == lines


def test_a_row_of_parquet_is_its_number(tmp_path: Path) -> None:
    assert lines_of(TableFile("bureau", "x.parquet", tmp_path / "x.parquet", "parquet"), 3) == [1, 2, 3]


@settings(max_examples=200, deadline=None)
@given(
    values=st.lists(st.tuples(st.text(alphabet='a,"\n', max_size=6), st.integers(0, 2)), min_size=1, max_size=12),
)
def test_any_quoting_and_any_blank_lines_give_the_lines_a_csv_reader_counts(
    values: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["A", "B"])
    expected = []
    for number, (text, blank) in enumerate(values):
        stream.write("\n" * blank)
        expected.append(stream.getvalue().count("\n") + 1)
        writer.writerow([number, text])
    file = csv_file(tmp_path_factory.mktemp("lines"), stream.getvalue())
    assert lines_of(file, len(values)) == expected
