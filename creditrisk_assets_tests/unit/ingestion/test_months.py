"""Files of production months: found by name, brought here, outcomes typed; what is not right is refused in one line."""

from pathlib import Path

import duckdb
import pandas as pd
import pytest
from pydantic import ValidationError

from creditrisk_assets.ingestion.connector import ChangedError, IngestionError
from creditrisk_assets.ingestion.connectors import Credentials
from creditrisk_assets.ingestion.connectors.local import LocalConnector
from creditrisk_assets.ingestion.months import SERVICE, Decided, MonthFiles, month_files, read_decisions, read_outcomes
from creditrisk_assets.settings import Settings

GOOD = {"SK_ID_CURR": [1, 2], "APPLICATION_MONTH": ["2026-01"] * 2, "OUTCOME": [0, 1], "OBSERVED_MONTH": ["2026-04"] * 2,
        "MATURITY": ["matured"] * 2}  # fmt: skip


def deliver(directory: Path, suffix: str = ".parquet", **changed: object) -> Path:
    frame = pd.DataFrame({**GOOD, **changed})
    path = directory / f"2026-04.outcomes{suffix}"
    frame.to_parquet(path, index=False) if suffix == ".parquet" else frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_outcomes_are_typed_from_either_layout(tmp_path: Path, suffix: str) -> None:
    deliver(tmp_path, suffix)
    files = MonthFiles(LocalConnector(tmp_path), tmp_path / "landing")
    found = files.find("2026-04", "outcomes")
    with duckdb.connect() as con:
        out = tmp_path / "typed.parquet"
        assert read_outcomes(con, files.bring(found), found.address, out) == 2
        assert con.execute("select sum(OUTCOME) from read_parquet(?)", [str(out)]).fetchall() == [(1,)]


def test_a_shared_drive_is_copied_first(tmp_path: Path) -> None:
    deliver(tmp_path)
    files = MonthFiles(LocalConnector(tmp_path, copy_files=True), tmp_path / "landing")
    assert files.bring(files.find("2026-04", "outcomes")).is_relative_to(tmp_path / "landing")


def test_a_month_that_is_not_delivered_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(IngestionError, match=r"2026-05 has no scores.*creditrisk simulate 2026-05"):
        MonthFiles(LocalConnector(tmp_path), tmp_path).find("2026-05", "scores")


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"OUTCOME": ["no", "yes"]}, "another type"), ({"SURPRISE": [1, 2]}, "SURPRISE")],
    ids=["a wrong type", "an unknown column"],
)
def test_wrong_outcomes_are_refused_without_their_values(
    tmp_path: Path, changed: dict[str, list[object]], words: str
) -> None:
    path = deliver(tmp_path, ".csv", **changed)
    with duckdb.connect() as con, pytest.raises(IngestionError, match=words) as refused:
        read_outcomes(con, path, path.name, tmp_path / "typed.parquet")
    assert "yes" not in str(refused.value)


def test_a_file_written_to_meanwhile_is_refused(tmp_path: Path) -> None:
    path = deliver(tmp_path)
    files = MonthFiles(LocalConnector(tmp_path), tmp_path / "landing")
    found = {"outcomes": files.find("2026-04", "outcomes")}
    files.require_unchanged(found)
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(ChangedError):
        files.require_unchanged(found)


def test_months_come_from_below_home_unless_another_place_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = Credentials(tmp_path)
    assert Settings().month_files.parent == Settings().root
    month_files(Settings(), credentials)
    assert Settings().month_files.is_dir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    deliver(elsewhere)
    monkeypatch.setenv("CREDITRISK_MONTHS", str(elsewhere))
    assert month_files(Settings(), credentials).find("2026-04", "outcomes").address.startswith(str(elsewhere))
    monkeypatch.setenv("CREDITRISK_MONTH", str(elsewhere))
    with pytest.raises(ValidationError, match="CREDITRISK_MONTH"):
        Settings()


def decisions(path: Path, ids: list[int], pd_: float, **more: object) -> Path:
    columns = {
        "decision": "approve",
        "band": "A",
        "rule": None,
        "points": 600,
        "model_version": "m1",
        "policy_version": "p",
    }
    reasons = {f"reason_{place}": None for place in range(1, 5)}
    pd.DataFrame({"sk_id_curr": ids, "pd": pd_, **columns, **reasons, **more}).to_parquet(path, index=False)
    return path


@pytest.mark.parametrize(
    ("batch_at", "counts"),
    [
        ("2026-05-02T00:00:00+00:00", "service"),
        ("2026-05-31T23:59:59+00:00", "batch"),
        ("2026-05-20T14:00:00+02:00", "service"),  # the same instant
    ],
)
def test_an_applicant_whom_a_batch_and_the_service_decided_on_is_counted_once(
    tmp_path: Path, batch_at: str, counts: str
) -> None:
    """Applicants 1 and 2 came in a batch, 2, 3 and 4 through the service; 4 was decided on by an earlier model."""
    at, models = "2026-05-20T12:00:00.000000+00:00", ["m1", "m1", "m0"]
    service = {"gender": "F", "age_years": 40.0, "decided_at": at, "model_version": models}
    paths = {
        "scores": decisions(tmp_path / "s.parquet", [1, 2], 0.1),
        "scores.parquet.features": tmp_path / "f.parquet",
        "applications": tmp_path / "a.parquet",
        SERVICE[0]: decisions(tmp_path / "d.parquet", [2, 3, 4], 0.2, **service),
        SERVICE[1]: tmp_path / "df.parquet",
    }
    pd.DataFrame({"sk_id_curr": [1, 2], "x__amt": [1.0, 1.0]}).to_parquet(paths["scores.parquet.features"])
    raw = {"SK_ID_CURR": [1, 2], "CODE_GENDER": ["M", "XNA"], "DAYS_BIRTH": [-36525, -36525]}
    pd.DataFrame(raw).to_parquet(paths["applications"])
    pd.DataFrame({"sk_id_curr": [2, 3], "x__amt": [2.0, 2.0]}).to_parquet(paths[SERVICE[1]])
    with duckdb.connect() as con:
        found = read_decisions(con, paths, "2026-05", batch_at, tmp_path / "out.parquet", tmp_path / "saw.parquet")
    of_two = 0.1 if counts == "batch" else 0.2
    out, saw = pd.read_parquet(tmp_path / "out.parquet"), pd.read_parquet(tmp_path / "saw.parquet")
    assert out[["sk_id_curr", "pd"]].to_numpy().tolist() == [[1, 0.1], [2, of_two], [3, 0.2], [4, 0.2]]
    assert out["application_month"].eq("2026-05").all()
    assert out["age_years"].tolist()[0] == 100.0
    assert saw.to_numpy().tolist() == [[1, 1.0, 0.1], [2, 10 * of_two, of_two], [3, 2.0, 0.2]]
    by = {"batch": 2, "service": 2} if counts == "batch" else {"batch": 1, "service": 3}
    assert found == Decided(by, "m1", 1)


@pytest.mark.parametrize("only", ["batch", "service"])
def test_a_month_may_come_from_one_of_them_alone(tmp_path: Path, only: str) -> None:
    more = {"gender": None, "age_years": None, "decided_at": "2026-05-20T12:00:00+00:00"}
    paths = {
        "batch": {"scores": decisions(tmp_path / "s.parquet", [1], 0.1), "scores.parquet.features": tmp_path / "f.parquet",
                  "applications": tmp_path / "a.parquet"},
        "service": {SERVICE[0]: decisions(tmp_path / "d.parquet", [1], 0.1, **more), SERVICE[1]: tmp_path / "f.parquet"},
    }[only]  # fmt: skip
    pd.DataFrame({"sk_id_curr": [1], "x__amt": [1.0]}).to_parquet(tmp_path / "f.parquet")
    pd.DataFrame({"SK_ID_CURR": [1], "CODE_GENDER": ["F"], "DAYS_BIRTH": [-9000]}).to_parquet(tmp_path / "a.parquet")
    with duckdb.connect() as con:
        found = read_decisions(
            con, paths, "2026-05", "2026-06-01T00:00:00Z", tmp_path / "o.parquet", tmp_path / "w.parquet"
        )
    assert found.by == {only: 1}
    assert pd.read_parquet(tmp_path / "o.parquet")["sk_id_curr"].tolist() == [1]
