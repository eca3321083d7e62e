"""Typing a raw table: exact values in, clear errors out, no applicant's value in any message."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.ingestion.files import IngestionError, find_table
from creditrisk_assets.ingestion.reader import ReadResult, read_table

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


def read(con: duckdb.DuckDBPyConnection, directory: Path, content: str | bytes) -> ReadResult:
    path = directory / f"{TABLE}.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_table(con, find_table(directory, TABLE, TABLE), path, SOURCES[TABLE], directory / "out.parquet")


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
    read_table(con, find_table(tmp_path, TABLE, TABLE), source, SOURCES[TABLE], tmp_path / "out.parquet")
    assert rows(con, tmp_path) == from_csv


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEADER.replace("AMT_PAYMENT", "PAID") + ROW, "missing column AMT_PAYMENT; unknown column PAID"),
        (
            HEADER.replace("AMT_PAYMENT", "AMT_INSTALMENT") + ROW,
            "missing column AMT_PAYMENT; repeated column AMT_INSTALMENT",
        ),
        (HEADER + ROW + ROW.replace("-1180.0", "soon"), "line 3, column DAYS_INSTALMENT: not a DOUBLE"),
        (HEADER + ROW + ROW.replace("161674", "x" + SECRET), "line 3, column SK_ID_CURR: not a BIGINT"),
        (HEADER + ROW * 3 + ROW.replace("161674", "161674.5"), "line 5, column SK_ID_CURR: not a whole number"),
        (HEADER + ROW.replace("161674", "9007199254740993"), "column SK_ID_CURR: a number of 2^53 or more"),
        (HEADER + ROW + "1,2,3\n", "line 3: 3 columns instead of 8; truncated or damaged file"),
        (HEADER + ROW + f'1,2,"{SECRET}', "truncated or damaged file"),
        (HEADER.encode() + ROW.replace("6948.36", "é").encode("latin-1"), "not UTF-8; convert the file"),
        ("É".encode("latin-1") + HEADER.encode(), "line 1: not UTF-8"),
        ("", "is empty; expected a header line"),
        ("\n", "is empty; expected a header line"),
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
        read_table(
            con,
            find_table(tmp_path, TABLE, TABLE),
            tmp_path / f"{TABLE}.parquet",
            SOURCES[TABLE],
            tmp_path / "out.parquet",
        )


def test_the_same_file_gives_the_same_bytes_with_one_thread_and_two(tmp_path: Path) -> None:
    (tmp_path / f"{TABLE}.csv").write_text(
        HEADER + "".join(f"{n},{n % 997},1.0,6,-1180.0,,{n / 7:.3f},1.5\n" for n in range(400_000))
    )
    digests = set()
    for threads in (1, 2):
        with duckdb.connect(config={"threads": threads}) as con:
            out = tmp_path / f"{threads}.parquet"
            read_table(con, find_table(tmp_path, TABLE, TABLE), tmp_path / f"{TABLE}.csv", SOURCES[TABLE], out)
            digests.add(hashlib.sha256(out.read_bytes()).hexdigest())
    assert len(digests) == 1
