"""From embedded to production by settings alone: one body, on files and SQLite in one process, and on the processes of Compose."""

import json
from pathlib import Path

import duckdb
import pytest

from creditrisk_assets.lake import Lake
from creditrisk_assets.mirror import mirror_of
from creditrisk_assets.registry.versions import by_alias
from creditrisk_assets.resources.mlflow import connect
from creditrisk_assets_tests.integration.conftest import Graph
from creditrisk_assets_tests.integration.platforms import embedded, production, settings_of
from creditrisk_assets_tests.integration.test_graph import KEYS
from creditrisk_assets_tests.serving.test_light import ask, serving
from creditrisk_serving.decisions.log import DecisionLog
from creditrisk_serving.lineage.decision import lineage_of
from creditrisk_serving.lineage.runs import forgotten_runs
from creditrisk_serving.settings import ServingSettings

NUMBERS = ("features/applicant", "training/split_train", "model/out_of_fold")


@pytest.mark.parametrize("stack", [embedded, production])
def test_the_whole_graph_is_made_and_an_applicant_decided_and_followed_back(
    graph: Graph, portfolio: Path, tmp_path: Path, stack
) -> None:
    with stack(graph, portfolio, tmp_path / "platform") as platform:
        platform.materialize()
        settings = settings_of(platform)
        lake = Lake(tmp_path / "read" if settings.object_store else settings.lake, mirror_of(settings))
        made = {key: lake.require(key) for key in KEYS}
        assert {key: made[key].version for key in NUMBERS} == {key: graph.lake.require(key).version for key in NUMBERS}
        champion = made["model/pd"].manifest.metadata["facts"]["model_version"]
        connect(settings)
        assert by_alias(settings.registered_model, "champion").model_version == champion
        with duckdb.connect() as con:
            (applicant, pd), *_ = con.execute(
                "select sk_id_curr, pd from read_parquet(?)", [str(made["serving/batch_scores"].data)]
            ).fetchall()
        with serving(platform.scoring_home) as (_, port, _said):
            status, body = ask(port, "POST", "/predict", platform.key, json.dumps({"applicant_ids": [applicant]}))
            assert status == 200, body
            answer = json.loads(body)
        assert answer["model_version"] == champion
        (decision,) = answer["decisions"]
        assert decision["pd"] == pytest.approx(pd, abs=1e-9)
        serves = ServingSettings(platform=settings)
        log = DecisionLog(serves.decision_log_url, serves.journal_directory)
        found = lineage_of(log, Lake(settings.lake), decision["decision_id"])
        log.close()
        assert (found.model.model_version, found.gaps) == (champion, ())
        assert {step.key for step in found.chain.raw_tables} == {key for key in KEYS if key.startswith("raw/")}
        assert tuple(forgotten_runs(settings, found.model)) == ()
