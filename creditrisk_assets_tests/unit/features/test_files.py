"""Feature files: the join is what SQL's left join gives, the bytes follow from the rows, and bad files are refused."""

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from creditrisk_assets.contracts.features import APPLICANT
from creditrisk_assets.features import files
from creditrisk_assets.features.families import FAMILIES, PRESENCE
from creditrisk_assets.features.files import FeatureError, join_applicant, write

NUMBERS = np.random.default_rng(5)
APPLICATIONS = np.arange(100_000, 100_000 + 1_000)


def family_file(name: str, keys: np.ndarray, path: Path) -> Path:
    """Write a family of arbitrary numbers, every seventh empty."""
    columns = {"sk_id_curr": pa.array(keys, pa.int64())}
    for feature in FAMILIES[name].features:
        values = NUMBERS.integers(0, 9, len(keys))
        columns[feature.name] = pa.array(values, mask=values == 7).cast(
            {"BIGINT": pa.int64(), "DOUBLE": pa.float64(), "VARCHAR": pa.string(), "BOOLEAN": pa.bool_()}[
                feature.sql_type
            ]
        )
    pq.write_table(pa.table(columns), path, row_group_size=max(1, len(keys) // 3))
    return path


@pytest.fixture
def families(tmp_path: Path) -> dict[str, Path]:
    """Families of which one knows every applicant, one none, the others some and strangers, beyond both ends too."""
    some = np.union1d(NUMBERS.choice(APPLICATIONS, 300, replace=False), [1, 100_500, 999_999])
    keys = {"application": APPLICATIONS, "bureau": APPLICATIONS, "pos_cash": APPLICATIONS[:0]}
    return {name: family_file(name, keys.get(name, some), tmp_path / f"{name}.parquet") for name in FAMILIES}


@pytest.mark.parametrize("rows", [37, 128, 999, 1_000, 5_000])  # the last group of 999 is a single row
def test_the_join_is_the_left_join_whatever_the_groups(
    rows: int, families: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "ROWS", rows)
    assert join_applicant(families, tmp_path / "out.parquet") == len(APPLICATIONS)
    columns = [
        f"{PRESENCE[column.name]}.sk_id_curr is not null as {column.name}"
        if column.name in PRESENCE
        else "application.sk_id_curr"
        if column.name == "sk_id_curr"
        else column.name
        for column in APPLICANT.columns
    ]
    joins = " ".join(f"left join '{families[name]}' as {name} using (sk_id_curr)" for name in PRESENCE.values())
    with duckdb.connect() as con:
        wanted = f"select {', '.join(columns)} from '{families['application']}' as application {joins} order by all"
        assert con.execute(wanted).fetchall() == con.execute(f"select * from '{tmp_path / 'out.parquet'}'").fetchall()


def test_bytes_follow_from_the_rows_whatever_the_order_and_the_threads(tmp_path: Path) -> None:
    written = set()
    for threads, order in ((1, "asc"), (2, "desc"), (4, "asc")):
        with duckdb.connect() as con:
            con.execute(f"set threads = {threads}")
            con.execute(
                f"create table t as select range as sk_id_curr, hash(range) % 97 as x from range(70000) order by 1 {order}"
            )
            assert write(con, "select * from t", tmp_path / "out.parquet") == 70_000
        written.add((tmp_path / "out.parquet").read_bytes())
    assert len(written) == 1


def test_no_rows_are_a_file_with_columns(tmp_path: Path) -> None:
    with duckdb.connect() as con:
        assert write(con, "select 1 as sk_id_curr, 2.5e0 as x where false", tmp_path / "out.parquet") == 0
    assert pq.read_schema(tmp_path / "out.parquet").names == ["sk_id_curr", "x"]


@pytest.mark.parametrize("keys", [[3, 2], [2, 2]])
def test_a_family_out_of_order_or_with_two_rows_is_refused(
    keys: list[int], families: dict[str, Path], tmp_path: Path
) -> None:
    family_file("bureau", np.array(keys), families["bureau"])
    with pytest.raises(
        FeatureError, match=r"features/bureau: its file is not in the order of sk_id_curr, or an applicant has two"
    ):
        join_applicant(families, tmp_path / "out.parquet")


def test_a_statement_that_fails_leaves_no_writer_at_work(tmp_path: Path) -> None:
    with duckdb.connect() as con, pytest.raises(duckdb.Error):
        write(con, "select range as sk_id_curr, error('stop') as x from range(10)", tmp_path / "out.parquet")
