"""Batch scores as an asset: each published version is one record of the decision log."""

from pathlib import Path

from creditrisk_assets import running
from creditrisk_assets.lake import Lake, sha256_file
from creditrisk_assets.settings import Settings
from creditrisk_assets_tests.integration.conftest import Graph, copied
from creditrisk_serving.batches.record import Verified, verify_batch
from creditrisk_serving.decisions.checkpoints import Checkpoints
from creditrisk_serving.decisions.database import reading
from creditrisk_serving.decisions.schemas import BatchRecord
from creditrisk_serving.settings import ServingSettings

KEY = "serving/batch_scores"


def recorded(settings: Settings) -> list[BatchRecord]:
    with reading(ServingSettings(platform=settings).decision_log_url) as database:
        return [record for record, _ in database.batches(source=KEY)]


def verified(settings: Settings, scores: Path) -> Verified:
    with reading(ServingSettings(platform=settings).decision_log_url) as database:
        return verify_batch(database, Checkpoints([], {}, None), scores)


def test_a_published_version_is_recorded_once_and_verified(in_graph: Graph) -> None:
    version = in_graph.lake.require(KEY)
    facts = version.manifest.metadata["facts"]
    (record,) = recorded(in_graph.settings)
    assert (record.scored, record.rejected) == (facts["rows"], 0)
    assert record.model_version == facts["model_version"]
    assert record.scores_sha256 == sha256_file(version.data)
    (asset,) = running.materialize(in_graph.settings, KEY).assets
    assert asset.outcome == "reused"
    assert recorded(in_graph.settings) == [record]
    assert verified(in_graph.settings, version.data) == Verified(record, ())


def test_a_version_that_is_not_in_the_log_is_recorded_by_the_next_run(graph: Graph, tmp_path: Path) -> None:
    with copied(graph.settings.root, tmp_path / "home") as settings:
        for path in settings.root.glob("decisions.db*"):
            path.unlink()
        running.materialize(settings, KEY)
        (record,) = recorded(settings)
        assert record.scores_sha256 == Lake(settings.lake).require(KEY).manifest.files["data.parquet"]
