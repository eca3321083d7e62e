"""Notices for the declined applicants of a batch: from its record, in words that are proven, chained and sealed as the others, once."""

import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner

from creditrisk_assets.lake import MANIFEST, Lake, sha256_file
from creditrisk_assets.modelling.bundle import read_public_key
from creditrisk_assets.modelling.signing import replace_signing_key
from creditrisk_assets_tests.serving.client import LENDER, Client
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_assets_tests.serving.portfolio import Portfolio
from creditrisk_assets_tests.serving.test_batches import read, score, write_csv
from creditrisk_serving.batches.notices import BatchNoticeError, issue_batch
from creditrisk_serving.batches.record import batch_id_of
from creditrisk_serving.cli import app as serving_commands
from creditrisk_serving.decisions.checkpoints import Checkpoints
from creditrisk_serving.decisions.erasure import erase
from creditrisk_serving.decisions.schemas import BatchRecord
from creditrisk_serving.decisions.verification import verify_log
from creditrisk_serving.errors import NoticeRefusedError
from creditrisk_serving.notices.commands import app
from creditrisk_serving.notices.service import read as read_notice

NONE_SIGNED = Checkpoints([], {}, None)


@pytest.fixture
def scores(published: Published, portfolio: Portfolio, tmp_path: Path) -> Path:
    """Everybody scored as a batch, with features kept."""
    source = write_csv(tmp_path / "applications.csv", [portfolio.application(one) for one in portfolio.applicants])
    score(published.home, source, tmp_path / "scores.parquet", with_features=True)
    return tmp_path / "scores.parquet"


@pytest.fixture
def issue(client: Client, published: Published) -> Callable[[Path], Any]:
    """Issue a batch's notices through a started log."""
    log, key = client.service.log, read_public_key(published.home / "keys")
    return lambda scores: issue_batch(log, client.settings, NONE_SIGNED, scores, key, caller="k")


def declined(scores: Path) -> dict[int, dict[str, Any]]:
    return {row["sk_id_curr"]: row for row in read(scores) if row["decision"] == "decline"}


def test_every_declined_applicant_is_told_what_a_request_would_have_told(
    client: Client, portfolio: Portfolio, scores: Path, issue: Callable[[Path], Any]
) -> None:
    found, mine = issue(scores), declined(scores)
    assert (found.declined, found.issued, found.before, found.erased) == (len(mine), len(mine), 0, 0)
    assert mine
    sent = [portfolio.application(one) for one in mine]
    decided = client.post("/predict", {"applications": sent}).json()["decisions"]
    assert client.service.log.flush()
    for one in decided:
        of_request = client.post(f"/decisions/{one['decision_id']}/notice", b"").json()
        of_batch = client.get(f"/decisions/{found.batch_id}-{one['applicant_id']}/notice").json()
        assert [one["reasons"][place]["code"] for place in range(len(one["reasons"]))] == [
            code
            for name in ("reason_1", "reason_2", "reason_3", "reason_4")
            if (code := mine[one["applicant_id"]][name])
        ]
        same = of_request["document"].replace(one["decision_id"], f"{found.batch_id}-{one['applicant_id']}")
        assert of_batch["document"] == same  # every required field, word for word
        assert of_batch["due_by"] == of_request["due_by"]
    again = issue(scores)
    assert (again.issued, again.before) == (0, len(mine))
    assert client.service.log.flush()
    assert verify_log(client.service.log.database, NONE_SIGNED).findings == []


def test_nothing_is_issued_from_files_that_are_not_what_was_recorded(
    client: Client, scores: Path, issue: Callable[[Path], Any], tmp_path: Path
) -> None:
    features = scores.with_name("scores.parquet.features.parquet")
    kept = {path: path.read_bytes() for path in (scores, features)}
    with duckdb.connect() as con:
        con.execute(f"create table s as from '{scores}'")
        con.execute("update s set decision = 'decline'")
        con.execute(f"copy s to '{scores}' (format parquet)")
    with pytest.raises(BatchNoticeError, match="is not what was recorded"):
        issue(scores)
    scores.write_bytes(kept[scores])
    features.write_bytes(kept[features] + b" ")
    with pytest.raises(BatchNoticeError, match="not what the manifest says"):
        issue(scores)
    features.unlink()
    with pytest.raises(BatchNoticeError, match="not there"):
        issue(scores)
    assert client.service.log.flush()
    with client.service.log.database.begin() as connection:
        assert connection.exec_driver_sql("select count(*) from notices").scalar_one() == 0


def test_without_features_it_says_how_to_score(
    published: Published, portfolio: Portfolio, issue: Callable[[Path], Any], tmp_path: Path
) -> None:
    source = write_csv(tmp_path / "applications.csv", [portfolio.application(one) for one in portfolio.applicants])
    score(published.home, source, tmp_path / "scores.csv")
    with pytest.raises(BatchNoticeError, match="score the applications again with --features"):
        issue(tmp_path / "scores.csv")


def test_of_a_published_table_features_are_those_it_was_made_from(
    client: Client, published: Published, scores: Path, issue: Callable[[Path], Any]
) -> None:
    lake = Lake(published.home / "lake")
    features = lake.require("features/applicant")
    with lake.draft("serving/batch_scores") as draft:
        shutil.copy(scores, draft.data)
        version = lake.publish(draft, code_version="test", inputs={"features/applicant": features.version})
    sealed, manifest = sha256_file(version.path / MANIFEST), json.loads(Path(f"{scores}.manifest.json").read_text())
    named = ("model_version", "bundle_sha256", "policy_version", "scored", "rejected", "input_sha256")
    client.service.log.store_batch(
        BatchRecord(
            batch_id=batch_id_of(sealed),
            decided_at=manifest["finished_at"],
            source="serving/batch_scores",
            scores_sha256=sha256_file(version.data),
            manifest_sha256=sealed,
            **{name: manifest[name] for name in named},
        )
    )
    assert client.service.log.flush()
    found = issue(version.data)
    assert (found.batch_id, found.issued) == (batch_id_of(sealed), len(declined(scores)))
    with features.data.open("ab") as stream:
        stream.write(b" ")
    with pytest.raises(BatchNoticeError, match="is not what was published"):
        issue(version.data)


def test_an_erased_applicant_gets_none_and_a_notice_is_erased_with_the_applicant(
    client: Client, scores: Path, issue: Callable[[Path], Any]
) -> None:
    log, mine = client.service.log, list(declined(scores))
    client.post("/predict", {"applicant_ids": mine[:1]})
    erase(log, mine[0], hold_days=0, reason="asked for")
    assert log.flush()
    found = issue(scores)
    assert (found.issued, found.erased) == (len(mine) - 1, 1)
    assert log.flush()
    assert erase(log, mine[1], hold_days=0, reason="asked for").decisions == 1
    with pytest.raises(NoticeRefusedError, match="erased"):
        read_notice(log, f"{found.batch_id}-{mine[1]}")
    assert read_notice(log, f"{found.batch_id}-{mine[2]}").document


def test_the_command_says_what_was_issued_and_writes_one_of_them(
    published: Published, scores: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CREDITRISK_HOME", str(published.home))
    monkeypatch.setenv("CREDITRISK_SERVING_NOTICE", str(LENDER))
    run, mine = CliRunner(), declined(scores)
    told = run.invoke(app, ["notices", "batch", str(scores)])
    assert f"{len(mine)} notices issued for {len(mine)} declined applicants" in told.output
    found = json.loads(run.invoke(app, ["notices", "batch", str(scores), "--json"]).output)
    assert (found["issued"], found["before"]) == (0, len(mine))
    one = f"{found['batch_id']}-{next(iter(mine))}"
    assert run.invoke(app, ["notice", one, "--out", str(tmp_path / "one.pdf")]).exit_code == 0
    assert (tmp_path / "one.pdf").read_bytes().startswith(b"%PDF-")
    assert "is no file" in str(run.invoke(app, ["notices", "batch", str(tmp_path / "nothing")]).exception)


def test_what_a_replaced_key_signed_keeps_no_notice_back(
    published: Published, scores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDITRISK_HOME", str(published.home))
    monkeypatch.setenv("CREDITRISK_SERVING_NOTICE", str(LENDER))
    run = CliRunner()
    assert run.invoke(serving_commands, ["checkpoint-log"]).exit_code == 0
    replace_signing_key(published.home / "keys", None, date(2020, 1, 1))
    told = run.invoke(app, ["notices", "batch", str(scores)])
    assert told.exit_code == 0, told.exception
    assert "notices issued" in told.output
