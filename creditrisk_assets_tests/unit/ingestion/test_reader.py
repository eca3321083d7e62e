"""Typing a raw table: exact values in, rows of wrong types set aside, clear errors out, no applicant's value in any message."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.ingestion.connector import IngestionError
from creditrisk_assets.ingestion.reader import ReadResult, read_table
from creditrisk_assets.ingestion.table_file import TableFile, delivered_schema

TABLE = "installments_payments"
HEADER = (
    "SK_ID_PREV,SK_ID_CURR,NUM_INSTALMENT_VERSION,NUM_INSTALMENT_NUMBER,"
    "DAYS_INSTALMENT,DAYS_ENTRY_PAYMENT,AMT_INSTALMENT,AMT_PAYMENT\n"
)
ROW = "1054186,161674,1.0,6,-1180.0,-1187.0,6948.36,6948.36\n"
SECRET = "77777.77"


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 2}) as connection:
        yield connection


def read_file(con: duckdb.DuckDBPyConnection, path: Path, out: Path | None = None) -> ReadResult:
    file = TableFile(TABLE, f"feed/{path.name}", path, "parquet" if path.suffix == ".parquet" else "csv")
    return read_table(
        con,
        file,
        delivered_schema(con, file),
        SOURCES[TABLE],
        out=out or path.parent / "out.parquet",
        rejects=path.parent / "rejects.parquet",
    )


def read(con: duckdb.DuckDBPyConnection, directory: Path, content: str | bytes) -> ReadResult:
    path = directory / f"{TABLE}.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_file(con, path)


def set_aside(con: duckdb.DuckDBPyConnection, directory: Path) -> list[tuple[int, str]]:
    return con.execute(f"select row_number, rule from '{directory}/rejects.parquet'").fetchall()


def rows(con: duckdb.DuckDBPyConnection, directory: Path) -> list[tuple]:
    return con.execute(f"select * from '{directory}/out.parquet'").fetchall()


def test_values_are_typed_exactly_and_empty_is_null(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    result = read(con, tmp_path, HEADER + ROW + "1,2,0.0,1,-5.0,,0.045,\n")
    assert rows(con, tmp_path) == [
        (1054186, 161674, 1.0, 6, -1180.0, -1187.0, 6948.36, 6948.36),
        (1, 2, 0.0, 1, -5.0, None, 0.045, None),
    ]
    assert result.rows == 2
    assert result.sha256 == hashlib.sha256((tmp_path / f"{TABLE}.csv").read_bytes()).hexdigest()


def test_nan_becomes_null(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    read(con, tmp_path, HEADER + ROW.replace("-1187.0,6948.36", "nan,NaN"))
    assert rows(con, tmp_path)[0][5:7] == (None, None)


def test_columns_are_matched_by_name_not_by_place(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    names, values = HEADER.strip().split(","), ROW.strip().split(",")
    read(con, tmp_path, ",".join(reversed(names)) + "\n" + ",".join(reversed(values)) + "\n")
    assert rows(con, tmp_path)[0][:2] == (1054186, 161674)


def test_a_byte_order_mark_and_carriage_returns_do_no_harm(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    read(con, tmp_path, b"\xef\xbb\xbf" + (HEADER + ROW).replace("\n", "\r\n").encode())
    assert rows(con, tmp_path)[0][:2] == (1054186, 161674)


def test_parquet_is_read_to_the_same_table_as_csv(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    read(con, tmp_path, HEADER + ROW)
    from_csv = rows(con, tmp_path)
    source = tmp_path / f"{TABLE}.parquet"
    con.execute(
        f"copy (select * replace (cast(SK_ID_PREV as double) as SK_ID_PREV) from '{tmp_path}/out.parquet') to '{source}'"
    )
    (tmp_path / f"{TABLE}.csv").unlink()
    read_file(con, source)
    assert rows(con, tmp_path) == from_csv


@pytest.mark.parametrize(
    ("value", "column"),
    [
        ("soon", "DAYS_INSTALMENT"),
        ("x" + SECRET, "SK_ID_CURR"),
        ("161674.5", "SK_ID_CURR"),
        ("9007199254740993", "SK_ID_CURR"),
        ("-inf", "SK_ID_PREV"),
        ("2147483648", "NUM_INSTALMENT_NUMBER"),
        ("0x10", "AMT_PAYMENT"),
    ],
)
def test_a_row_with_a_value_not_of_its_type_is_set_aside_with_its_number(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, value: str, column: str
) -> None:
    read(con, tmp_path, HEADER + ROW * 3)
    whole = (tmp_path / "out.parquet").read_bytes()
    number = HEADER.strip().split(",").index(column)
    cells = ROW.strip().split(",")
    bad = ",".join([*cells[:number], value, *cells[number + 1 :]]) + "\n"
    result = read(con, tmp_path, HEADER + ROW * 2 + bad + ROW)
    assert (result.rows, result.rejected) == (3, 1)
    assert set_aside(con, tmp_path) == [(2, f"column_type:{column}")]
    key, row = con.execute(f"select key, row from '{tmp_path}/rejects.parquet'").fetchall()[0]
    assert json.loads(row)[column] == value
    assert value not in key
    assert (tmp_path / "out.parquet").read_bytes() == whole


def test_every_wrong_column_of_a_row_is_named_in_the_order_of_the_contract(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    read(con, tmp_path, HEADER + ROW + "1,soon,1.0,6,later,,much,1\n")
    assert set_aside(con, tmp_path) == [
        (1, "column_type:SK_ID_CURR, column_type:DAYS_INSTALMENT, column_type:AMT_INSTALMENT")
    ]


def test_rows_of_a_parquet_file_are_set_aside_too(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    columns = {name: [1.0, 2.0, 3.0, 4.0] for name in HEADER.strip().split(",")}
    columns["SK_ID_CURR"] = [1.0, 2.5, 3.0, float("nan")]
    columns["NUM_INSTALMENT_NUMBER"] = [1.0, 2.0, 3e9, 4.0]
    source = tmp_path / "delivered.parquet"
    pq.write_table(pa.table(columns), source)
    result = read_file(con, source)
    assert (result.rows, result.rejected) == (2, 2)
    assert set_aside(con, tmp_path) == [(1, "column_type:SK_ID_CURR"), (2, "column_type:NUM_INSTALMENT_NUMBER")]
    assert [row[1] for row in rows(con, tmp_path)] == [1, None]


def test_short_floats_of_a_parquet_file_are_the_same_numbers_beside_a_wrong_row(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    source = tmp_path / "delivered.parquet"
    columns = {name: pa.array([1.0, 2.0]) for name in HEADER.strip().split(",")}
    columns["AMT_PAYMENT"] = pa.array([0.1, 0.7], pa.float32())
    columns["AMT_INSTALMENT"] = pa.array([1234567, 7], pa.decimal128(12, 2))
    pq.write_table(pa.table(columns), source)
    read_file(con, source)
    clean = rows(con, tmp_path)
    pq.write_table(pa.table(columns | {"SK_ID_CURR": pa.array([1.0, 0.5])}), source)
    read_file(con, source)
    assert rows(con, tmp_path) == clean[:1]


def test_an_undeclared_column_is_left_out_whatever_it_is_called(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    read(con, tmp_path, HEADER + ROW)
    plain = rows(con, tmp_path)
    read(con, tmp_path, "," + HEADER.replace("\n", ",it's,NEW\n") + "0," + ROW.replace("\n", ',"a,b",\n'))
    assert rows(con, tmp_path) == plain


def test_a_damaged_file_is_refused_even_when_a_wrong_value_is_met_first(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    with pytest.raises(IngestionError, match="line 4: 3 columns instead of 8; truncated or damaged file"):
        read(con, tmp_path, HEADER + ROW.replace("161674", "who") + ROW + "1,2,3\n")
    assert not list(tmp_path.glob("*.text"))


def test_a_table_of_wrong_rows_alone_has_no_row(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    result = read(con, tmp_path, HEADER + ROW.replace("161674", "who") * 5)
    assert (result.rows, result.rejected) == (0, 5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEADER + ROW + "1,2,3\n", "line 3: 3 columns instead of 8; truncated or damaged file"),
        (HEADER + ROW + f'1,2,"{SECRET}', "truncated or damaged file"),
        (HEADER.encode() + ROW.replace("6948.36", "é").encode("latin-1"), "not UTF-8; convert the file"),
        ("É".encode("latin-1") + HEADER.encode(), "line 1: not UTF-8"),
        (HEADER.encode() + ROW.encode() + ROW.replace("6948.36", "é").encode("latin-1"), "line 3: not UTF-8"),
        (bytes(200_000), "its first line cannot be read as names of columns"),
        ("", "is empty; expected a header line"),
        ("\n", "is empty; expected a header line"),
        ("\n" + HEADER + ROW, "begins with a blank line; expected a header line"),
    ],
)
def test_a_bad_file_is_refused_with_its_place(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, content: str | bytes, message: str
) -> None:
    with pytest.raises(IngestionError) as caught:
        read(con, tmp_path, content)
    text = str(caught.value)
    assert text.startswith(f"{TABLE}: ")
    assert message in text
    assert SECRET not in text


def test_a_header_alone_is_a_table_without_rows(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    assert read(con, tmp_path, HEADER).rows == 0  # the contract refuses it: empty tables are its business


def test_a_file_that_is_not_parquet_is_refused(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    (tmp_path / f"{TABLE}.parquet").write_bytes(b"PAR1 but not really PAR1")
    with pytest.raises(IngestionError, match="not a readable Parquet file"):
        read_file(con, tmp_path / f"{TABLE}.parquet")


def test_a_damaged_parquet_file_is_refused_as_such(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    path = tmp_path / f"{TABLE}.parquet"
    names = HEADER.strip().split(",")
    pq.write_table(pa.table({name: pa.array(range(5000), pa.int64()) for name in names}), path, compression="zstd")
    content = bytearray(path.read_bytes())
    content[4:40] = bytes(36)
    path.write_bytes(content)
    with pytest.raises(IngestionError, match=r"is a damaged Parquet file .*; fetch it again"):
        read_file(con, path)


@pytest.mark.parametrize("wrong", [0, 3], ids=["clean", "with wrong rows"])
def test_the_same_file_gives_the_same_bytes_with_one_thread_and_two(tmp_path: Path, wrong: int) -> None:
    lines = [f"{n},{n % 997},1.0,6,-1180.0,,{n / 7:.3f},1.5\n" for n in range(400_000)]
    for number in range(wrong):
        lines[number * 130_000 + 7] = ROW.replace("161674", "who")
    (tmp_path / f"{TABLE}.csv").write_text(HEADER + "".join(lines))
    digests = set()
    for threads in (1, 2):
        with duckdb.connect(config={"threads": threads}) as con:
            out = tmp_path / f"{threads}.parquet"
            assert read_file(con, tmp_path / f"{TABLE}.csv", out).rejected == wrong
            digests.add(hashlib.sha256(out.read_bytes()).hexdigest())
    assert len(digests) == 1
