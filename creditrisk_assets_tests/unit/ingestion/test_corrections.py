"""Corrected rows stand in the place of quarantined ones, of one content alone, and it stays known who put them there."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from creditrisk_assets.ingestion import corrections
from creditrisk_assets.ingestion.corrections import CorrectionError
from creditrisk_assets_tests.unit.ingestion.quarantined import PAYMENT, PAYMENTS, Taken, payments, take, write_csv

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
LATER = datetime(2026, 1, 15, 13, tzinfo=UTC)
WRONG = {2: {"AMT_PAYMENT": "-5"}, 4: {"SK_ID_CURR": "who"}, 7: {"AMT_PAYMENT": "-7", "DAYS_INSTALMENT": "soon"}}


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 2}) as connection:
        yield connection


class Desk:
    """A person who is handed quarantined rows of one table and hands them back corrected."""

    def __init__(self, con: duckdb.DuckDBPyConnection, directory: Path) -> None:
        self.con, self.directory, self.home = con, directory, directory / "home"
        self.files: dict[str, Path] = {}
        self.taken: Taken | None = None
        self._takes = 0

    def read(self, **files: Path) -> Taken:
        self.files = files or self.files
        self._takes += 1
        self.taken = take(self.con, self.directory / f"work-{self._takes}", self.files, home=self.home)
        return self.taken

    def rows(self) -> list[dict[str, str]]:
        out = self.directory / f"rows-{self._takes}.csv"
        out.unlink(missing_ok=True)
        corrections.write_rows(self.con, self.taken.quarantined, PAYMENTS, out)
        with out.open(newline="") as stream:
            return list(csv.DictReader(stream))

    def hand_in(self, rows: list[dict[str, str]], at: datetime = NOON, **given: str) -> corrections.Taken:
        path = write_csv(self.directory / "corrected.csv", rows, list(rows[0]))
        return self.hand_in_file(path, at, **given)

    def hand_in_file(self, path: Path, at: datetime = NOON, **given: str) -> corrections.Taken:
        words = {"by": "M. Curie", "reason": "checked with the branch"} | given
        return corrections.take_in(self.con, self.home, PAYMENTS, self.taken.quarantined, path, **words, at=at)


@pytest.fixture
def desk(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> Desk:
    desk = Desk(con, tmp_path)
    desk.read(base=write_csv(tmp_path / "payments.csv", payments(10, WRONG)))
    return desk


def corrected(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The rows without rules, every wrong cell mended."""
    wrong = {"-5.0": "5", "-5": "5", "who": "2", "-7": "7", "soon": "-1180.0"}
    return [{name: wrong.get(value, value) for name, value in row.items() if name != "rule"} for row in rows]


def test_rows_are_written_as_they_were_read_with_their_place_and_rules(desk: Desk) -> None:
    rows = desk.rows()
    assert [(row["batch_id"], row["position"], row["rule"]) for row in rows] == [
        ("base", "4", "minimum:AMT_PAYMENT"),
        ("base", "6", "column_type:SK_ID_CURR"),
        ("base", "9", "column_type:DAYS_INSTALMENT"),
    ]
    assert rows[2] | {"batch_id": "", "position": "", "rule": ""} == {
        "batch_id": "", "position": "", "rule": "",
        **PAYMENT, "SK_ID_PREV": "8", "AMT_PAYMENT": "-7", "DAYS_INSTALMENT": "soon",
    }  # fmt: skip


def test_corrected_rows_are_read_at_their_places_as_if_delivered_so(desk: Desk) -> None:
    assert desk.hand_in(corrected(desk.rows())) == corrections.Taken(3, 0)
    again = desk.read()
    assert again.set_aside == []
    assert again.settled.accounting.published == 10
    mended = {2: {"AMT_PAYMENT": "5"}, 7: {"AMT_PAYMENT": "7"}}
    delivered = take(
        desk.con, desk.directory / "so", {"base": write_csv(desk.directory / "so.csv", payments(10, mended))}
    )
    assert again.published.read_bytes() == delivered.published.read_bytes()


def test_a_row_that_is_corrected_in_vain_stays_in_quarantine(desk: Desk) -> None:
    rows = corrected(desk.rows())
    rows[0]["AMT_PAYMENT"], rows[1]["SK_ID_CURR"] = "-6", "nobody"
    assert desk.hand_in(rows) == corrections.Taken(3, 0)
    again = desk.read()
    assert again.set_aside == [("base", 4, "minimum:AMT_PAYMENT"), ("base", 6, "column_type:SK_ID_CURR")]
    assert [row["AMT_PAYMENT"] for row in desk.rows()] == ["-6.0", "6948.36"]
    accounting = again.settled.accounting
    assert (accounting.read, accounting.published, accounting.quarantined) == (10, 8, 2)


def test_rows_may_be_left_out_or_left_alone(desk: Desk) -> None:
    given = desk.rows()
    assert desk.hand_in([corrected(given)[1], {k: v for k, v in given[2].items() if k != "rule"}]) == corrections.Taken(
        1, 1
    )
    assert desk.read().set_aside == [("base", 4, "minimum:AMT_PAYMENT"), ("base", 9, "column_type:DAYS_INSTALMENT")]


def test_of_several_corrections_of_a_row_the_latest_counts(desk: Desk) -> None:
    rows = desk.rows()
    first = corrected(rows)[:2]
    first[0]["AMT_PAYMENT"] = "-1"
    desk.hand_in(first)
    desk.read()
    second = [{**corrected(desk.rows())[0], "AMT_PAYMENT": "77"}]
    desk.hand_in(second, LATER)
    again = desk.read()
    assert again.rows(again.published, "AMT_PAYMENT")[2] == (77.0,)
    assert again.rows(again.published, "SK_ID_CURR")[4] == (2,)


def test_a_correction_is_for_one_content_wherever_it_lies(desk: Desk, tmp_path: Path) -> None:
    desk.hand_in(corrected(desk.rows()))
    moved = tmp_path / "elsewhere" / "renamed.csv"
    moved.parent.mkdir()
    moved.write_bytes(desk.files["base"].read_bytes())
    assert desk.read(base=moved).set_aside == []
    moved.write_text(moved.read_text() + ",".join(PAYMENT.values()) + "\n")
    assert len(desk.read().set_aside) == 3


def test_rows_of_several_batches_are_corrected_in_one_file(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    desk = Desk(con, tmp_path)
    desk.read(
        base=write_csv(tmp_path / "base.csv", payments(5, {1: {"AMT_PAYMENT": "-5"}})),
        may=write_csv(tmp_path / "may.csv", payments(5, {1: {"SK_ID_CURR": "who"}, 3: {"AMT_PAYMENT": "-5"}})),
    )
    assert desk.hand_in(corrected(desk.rows())) == corrections.Taken(3, 0)
    again = desk.read()
    assert again.set_aside == []
    assert [row[0] for row in again.rows(again.published)] == [1, 2, 3, 4, 5, 1, 2, 3, 4, 5]
    assert len(list((desk.home / "corrections").glob("*/*/*.parquet"))) == 2


def test_rows_of_a_parquet_file_are_corrected_by_their_number(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    columns = {name: [float(value)] * 4 for name, value in PAYMENT.items()}
    pq.write_table(pa.table(columns | {"SK_ID_CURR": [0.5, 1.0, 1.0, 1.0]}), tmp_path / "payments.parquet")
    desk = Desk(con, tmp_path)
    desk.read(base=tmp_path / "payments.parquet")
    desk.hand_in([{name: "9" if value == "0.5" else value for name, value in row.items()} for row in desk.rows()])
    again = desk.read()
    assert again.rows(again.published, "SK_ID_CURR") == [(9,), (1,), (1,), (1,)]


def test_lines_after_blank_lines_and_line_breaks_are_corrected_too(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    names = [*PAYMENT, "NOTE"]
    rows = [{**row, "NOTE": "two\nlines"} for row in payments(6, {3: {"SK_ID_CURR": "who"}, 4: {"AMT_PAYMENT": "-5"}})]
    path = write_csv(tmp_path / "payments.csv", rows, names)
    path.write_text(path.read_text().replace("\n3,", "\n\n\n3,"))
    desk = Desk(con, tmp_path)
    assert desk.read(base=path).set_aside == [
        ("base", 10, "column_type:SK_ID_CURR"),
        ("base", 12, "minimum:AMT_PAYMENT"),
    ]
    desk.hand_in(corrected(desk.rows()))
    again = desk.read()
    assert again.set_aside == []
    assert again.rows(again.published, "SK_ID_PREV, AMT_PAYMENT")[3:5] == [(4, 6948.36), (5, 5.0)]


def test_who_when_and_why_stay_known(desk: Desk) -> None:
    desk.hand_in(corrected(desk.rows())[:1])
    desk.hand_in(corrected(desk.rows())[1:], LATER, by=" P. Curie ", reason="the branch sent a list")
    said = corrections.history(desk.con, desk.home, PAYMENTS.table)
    assert [(entry["rows"], entry["by"], entry["reason"], entry["at"]) for entry in said] == [
        (1, "M. Curie", "checked with the branch", "2026-01-15T12:00:00+00:00"),
        (2, "P. Curie", "the branch sent a list", "2026-01-15T13:00:00+00:00"),
    ]
    (kept, *_) = sorted((desk.home / "corrections" / PAYMENTS.table).glob("*/*.parquet"))
    rule, before = desk.con.execute(f"select rule, before ->> 'AMT_PAYMENT' from '{kept}'").fetchall()[0]
    assert (rule, before) == ("minimum:AMT_PAYMENT", "-5.0")


def test_new_corrections_are_felt_and_none_is_nothing(desk: Desk) -> None:
    assert corrections.fingerprint(desk.home, PAYMENTS.table) == {}
    desk.hand_in(corrected(desk.rows())[:1])
    first = corrections.fingerprint(desk.home, PAYMENTS.table)
    assert first == corrections.fingerprint(desk.home, PAYMENTS.table)
    desk.hand_in(corrected(desk.rows())[1:], LATER)
    assert corrections.fingerprint(desk.home, PAYMENTS.table) != first
    assert corrections.fingerprint(desk.home, "bureau") == {}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda rows: [{k: v for k, v in row.items() if k != "AMT_PAYMENT"} for row in rows],
            "lacks the column AMT_PAYMENT",
        ),
        (lambda rows: [{k: v for k, v in row.items() if k != "position"} for row in rows], "lacks the column position"),
        (lambda rows: [rows[0], rows[0]], "the row at batch base, position 4 is there more than once"),
        (
            lambda rows: [{**rows[0], "position": "5"}],
            r"1 of its rows are not in the quarantine .* batch base, position 5",
        ),
        (lambda rows: [{**rows[0], "position": "four"}], r"position \(not a number\)"),
        (lambda rows: [{**rows[0], "batch_id": "may"}], "batch may, position 4"),
        (lambda rows: [{**rows[0], "batch_id": ""}], r"batch \(none\), position 4"),
    ],
)
def test_a_file_that_is_no_correction_is_refused_and_nothing_is_kept(desk: Desk, change: object, says: str) -> None:
    with pytest.raises(CorrectionError, match=says):
        desk.hand_in(change(corrected(desk.rows())))
    assert not (desk.home / "corrections").exists()


def test_rows_that_nobody_corrected_are_refused(desk: Desk) -> None:
    rows = [{name: value for name, value in row.items() if name != "rule"} for row in desk.rows()]
    with pytest.raises(CorrectionError, match="none of its 3 rows differs from what is in quarantine"):
        desk.hand_in(rows)


@pytest.mark.parametrize("given", [{"by": " "}, {"reason": "because"}])
def test_who_and_why_must_be_said(desk: Desk, given: dict[str, str]) -> None:
    with pytest.raises(CorrectionError, match="say who corrected the rows"):
        desk.hand_in(corrected(desk.rows()), **given)


def test_a_file_that_is_no_table_is_refused(desk: Desk) -> None:
    path = write_csv(desk.directory / "broken.csv", corrected(desk.rows())[:1], list(corrected(desk.rows())[0]))
    path.write_text(path.read_text() + "base,6\n")
    with pytest.raises(corrections.IngestionError, match=r"broken.csv, line 3: 2 columns instead of 10"):
        desk.hand_in_file(path)
    with pytest.raises(corrections.IngestionError, match=r"nowhere.csv cannot be read \(No such file"):
        desk.hand_in_file(desk.directory / "nowhere.csv")


def test_corrections_in_progress_are_not_written_over(desk: Desk) -> None:
    out = desk.directory / "mine.csv"
    out.write_text("hours of work")
    with pytest.raises(CorrectionError, match="is there already and may hold corrections"):
        corrections.write_rows(desk.con, desk.taken.quarantined, PAYMENTS, out)
    assert out.read_text() == "hours of work"


def test_a_correction_for_a_row_the_file_does_not_hold_is_a_defect_and_not_read(desk: Desk) -> None:
    desk.hand_in(corrected(desk.rows())[:1])
    (kept,) = (desk.home / "corrections").glob("*/*/*.parquet")
    desk.con.execute(
        f"copy (select * replace (400::bigint as position) from '{kept}') to '{kept}.new' (format parquet)"
    )
    Path(f"{kept}.new").replace(kept)
    with pytest.raises(RuntimeError, match="this is a defect"):
        desk.read()


@pytest.mark.parametrize("place", ["nowhere/mine.csv", "a-file/mine.csv"])
def test_a_place_that_cannot_be_written_is_named(desk: Desk, place: str) -> None:
    (desk.directory / "a-file").write_text("")
    with pytest.raises(CorrectionError, match=r"mine\.csv cannot be written; check its directory"):
        corrections.write_rows(desk.con, desk.taken.quarantined, PAYMENTS, desk.directory / place)
