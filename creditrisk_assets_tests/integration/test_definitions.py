"""Every asset of both locations has the face design asks of it; loading reads nothing from outside."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from creditrisk_assets.definitions import ARTEFACTS, build_defs
from creditrisk_assets.defs import governance_file
from creditrisk_assets.defs.vocabulary import GROUPS, KINDS, OWNERS
from creditrisk_serving import definitions as serving

ALL = [*ARTEFACTS, *serving.ARTEFACTS]
DOCUMENTS = {
    artefact.key
    for artefact in (*governance_file.DOCUMENTS, governance_file.THE_FILE, governance_file.BILL_OF_MATERIALS)
}
WITHOUT_CONTRACT = {
    "governance/reasons",
    "model/pd",
    "monitoring/drift",
    "registry/version",
    "model/evaluation",
    "model/validation",
    *DOCUMENTS,
    "monitoring/report",
}
PARTS = ("Grain", "Built from", "Known at", "Consumed by", "Fails when", "Source")


def spec_of(key: str) -> dg.AssetSpec:
    definitions = serving.build_defs() if key.startswith("serving/") else build_defs()
    graph = definitions.resolve_asset_graph()
    return graph.get(dg.AssetKey(key.split("/"))).to_asset_spec()


@pytest.fixture(scope="module")
def nodes() -> dict[str, dg.AssetSpec]:
    found = {}
    for definitions in (build_defs(), serving.build_defs()):
        for spec in definitions.resolve_all_asset_specs():
            if spec.group_name in GROUPS:
                found[spec.key.to_user_string()] = spec
    return found


@pytest.mark.parametrize("key", [artefact.key for artefact in ALL])
def test_every_asset_is_legible_in_the_ui(nodes: dict[str, dg.AssetSpec], key: str) -> None:
    spec = nodes[key]
    assert spec.group_name in GROUPS
    assert spec.owners == [OWNERS[spec.group_name]]
    assert 1 <= len(spec.kinds) <= 3
    assert set(spec.kinds) <= KINDS
    assert spec.code_version
    assert spec.freshness_policy is not None
    for part in PARTS:
        assert f"\n{part}: " in spec.description
    source = spec.description.rsplit("`", 2)[1]
    assert Path(source).exists(), f"{key} names a source that is not there: {source}"


@pytest.mark.parametrize("artefact", ALL, ids=lambda artefact: artefact.key)
def test_every_table_has_a_column_schema_and_a_blocking_check(artefact) -> None:
    if artefact.key in WITHOUT_CONTRACT:
        return
    assert artefact.columns is not None
    assert artefact.checks.keys() - artefact.advisory


def test_no_two_assets_share_a_key() -> None:
    assert len({artefact.key for artefact in ALL}) == len(ALL)


def test_both_locations_load_without_settings_and_network(tmp_path: Path) -> None:
    script = (
        "import socket\n"
        "def refuse(*_): raise OSError('no network at import')\n"
        "socket.socket.connect = refuse\n"
        "import creditrisk_assets.definitions, creditrisk_serving.definitions\n"
        "import dagster as dg\n"
        "dg.Definitions.validate_loadable(creditrisk_assets.definitions.defs)\n"
        "dg.Definitions.validate_loadable(creditrisk_serving.definitions.defs)\n"
        "import sys\n"
        "heavy = {'mlflow', 'evidently', 'matplotlib.pyplot', 'dagster_aws', 'sklearn', 'scipy.stats', 'scipy.special'}\n"
        "heavy &= set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.iterdir()), "loading the definitions wrote something"


def test_what_promotes_is_no_asset_and_in_no_job_of_assets() -> None:
    promoting = {"promote_version": "promote", "rollback_champion": "roll_back", "approve_version": "approve"}
    jobs = {job.name: job for job in build_defs().resolve_all_job_defs()}
    assert set(promoting) <= set(jobs)
    for name, job in jobs.items():
        assert set(job.graph.node_dict) & set(promoting.values()) == ({promoting[name]} if name in promoting else set())
    for name in promoting:
        assert not jobs[name].asset_layer.asset_graph.get_all_asset_keys()
    assert not {job.name for job in serving.build_defs().resolve_all_job_defs()} & set(promoting)


def test_the_job_that_answers_drift_does_not_make_the_report_again() -> None:
    job = build_defs().resolve_job_def("retrain_model")
    assert "monitoring__drift" not in job.graph.node_dict
    assert {"model__pd", "registry__version"} <= job.graph.node_dict.keys()
