"""Lineage of decisions: from the decision log to the raw files, for requests and batches."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from creditrisk_assets.lake import MANIFEST, Lake, sha256_file
from creditrisk_assets_tests.serving.records import record
from creditrisk_assets_tests.serving.test_journal import started
from creditrisk_assets_tests.unit.registry.test_lineage import publish
from creditrisk_serving.batches.record import SUFFIX, batch_id_of
from creditrisk_serving.decisions.log import DecisionLog
from creditrisk_serving.decisions.schemas import BatchRecord
from creditrisk_serving.lineage.commands import app
from creditrisk_serving.lineage.decision import BATCH_SCORES, LineageError, lineage_of

APPLICANT = 100_001


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake(tmp_path / "lake")
    publish(made, "raw/bureau", "r1", {}, {"batches": [{"address": "b.csv", "sha256": "f" * 64, "rows_read": 3}]})
    publish(made, "features/bureau", "v", {"raw/bureau": "r1"})
    with made.draft("model/pd") as draft:
        (draft.path / "bundle").mkdir()
        (draft.path / "bundle" / "manifest.json").write_text("{}")
        facts = {"mlflow": {"run_id": "m"}, "dagster_run_id": "d"}
        made.publish(draft, code_version="c", inputs={"policy": "p"}, version="m", metadata={"facts": facts})
    publish(
        made, "registry/version", "x", {}, {"versions": {"candidate": {"model_version": "m", "registry_version": 1}}}
    )
    return made


def bundle_of(lake: Lake) -> str:
    return lake.version("model/pd", "m").manifest.files["bundle/manifest.json"]


def batch(lake: Lake, **given: Any) -> BatchRecord:
    values = {
        "batch_id": "b" * 20,
        "decided_at": "2026-11-30T08:00:00+00:00",
        "source": "creditrisk score by root",
        "model_version": "m",
        "bundle_sha256": bundle_of(lake),
        "policy_version": "1-p",
        "scored": 1,
        "rejected": 0,
        **{f"{name}_sha256": "0" * 64 for name in ("input", "scores", "manifest")},
    }
    return BatchRecord(**values | given)


def test_a_request_leads_to_the_versions_it_looked_up_and_their_raw_files(tmp_path: Path, lake: Lake) -> None:
    with started(tmp_path) as log:
        one = record(bundle_sha256=bundle_of(lake))
        log.store([one])
        found = lineage_of(log, lake, one.decision_id)
    assert found.gaps == ()
    assert [(f.family, f.state, f.version) for f in found.families] == [
        ("bureau", "present", "v"),
        ("application", "sent", None),
    ]
    assert {step.key for step in found.chain.steps} == {"model/pd", "features/bureau", "raw/bureau"}
    assert found.chain.raw_tables[0].raw_files[0].sha256 == "f" * 64


def test_a_model_made_again_under_its_version_and_another_policy_are_told(tmp_path: Path, lake: Lake) -> None:
    with started(tmp_path) as log:
        one = record(bundle_sha256="0" * 64, policy_version="1-other")
        log.store([one])
        found = lineage_of(log, lake, one.decision_id)
    assert [gap.link for gap in found.gaps] == [f"bundle {'0' * 64}", "policy 1-other"]


@pytest.mark.parametrize("unknown", ["none", f"{'b' * 20}-1x", f"-{APPLICANT}", f"{'c' * 20}-{APPLICANT}"])
def test_what_is_no_decision_is_refused(tmp_path: Path, lake: Lake, unknown: str) -> None:
    with started(tmp_path) as log:
        log.store_batch(batch(lake))
        with pytest.raises(LineageError, match="no decision has the id"):
            lineage_of(log, lake, unknown)


def test_a_batch_file_needs_its_manifest_and_names_it_by_its_hash(tmp_path: Path, lake: Lake) -> None:
    scores = tmp_path / "scores.csv"
    manifest = scores.with_name(scores.name + SUFFIX)
    inputs = [{"path": "in.csv", "sha256": "e" * 64}]
    manifest.write_text(json.dumps({"feature_versions": {"bureau": "v"}, "inputs": inputs}))
    one = batch(lake, manifest_sha256=sha256_file(manifest))
    with started(tmp_path) as log:
        log.store_batch(one)
        assert log.flush()
        (gap,) = lineage_of(log, lake, f"{one.batch_id}-{APPLICANT}").gaps
        assert one.manifest_sha256 in gap.why
        found = lineage_of(log, lake, f"{one.batch_id}-{APPLICANT}", scores=scores)
        assert found.gaps == ()
        assert [file.sha256 for file in found.sent_files] == ["e" * 64]
        assert "raw/bureau" in {step.key for step in found.chain.steps}
        manifest.write_text("{}")
        with pytest.raises(LineageError, match="is not the manifest of batch"):
            lineage_of(log, lake, f"{one.batch_id}-{APPLICANT}", scores=scores)
        with pytest.raises(LineageError, match="cannot be read"):
            lineage_of(log, lake, f"{one.batch_id}-{APPLICANT}", scores=tmp_path / "other.csv")


def test_scores_of_the_graph_are_found_by_their_manifest_and_only_for_whom_they_hold(
    tmp_path: Path, lake: Lake
) -> None:
    with lake.draft(BATCH_SCORES) as draft:
        pq.write_table(pa.table({"sk_id_curr": [APPLICANT]}), draft.data)
        version = lake.publish(draft, code_version="c", inputs={"features/bureau": "v", "champion": "m"})
    digest = sha256_file(version.path / MANIFEST)
    one = batch(lake, source=BATCH_SCORES, batch_id=batch_id_of(digest), manifest_sha256=digest)
    with started(tmp_path) as log:
        log.store_batch(one)
        assert log.flush()
        found = lineage_of(log, lake, f"{one.batch_id}-{APPLICANT}")
        assert found.gaps == ()
        assert "raw/bureau" in {step.key for step in found.chain.steps}
        with pytest.raises(LineageError, match="no score of applicant 7"):
            lineage_of(log, lake, f"{one.batch_id}-7")
        (version.path / MANIFEST).unlink()
        assert BATCH_SCORES in [gap.link for gap in lineage_of(log, lake, f"{one.batch_id}-{APPLICANT}").gaps]


def test_the_command_says_what_is_gone_and_ends_with_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDITRISK_HOME", str(tmp_path))
    url = f"sqlite:///{tmp_path / 'decisions.db'}"
    log = DecisionLog(url, tmp_path / "journal", stored="database")
    log.start()
    one = record()
    log.store([one])
    log.close()
    text = CliRunner().invoke(app, ["lineage", one.decision_id])
    assert (text.exit_code, "gone model/pd m" in text.output) == (1, True)
    machine = CliRunner().invoke(app, ["lineage", one.decision_id, "--json"])
    assert json.loads(machine.output)["model"]["model_version"] == "m"
    assert isinstance(CliRunner().invoke(app, ["lineage", "unknown"]).exception, LineageError)
