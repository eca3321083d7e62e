"""What the graph leaves for an examiner: fairness of the test part, a complete file, numbers that can be taken again."""

import json

import pandas as pd
import pytest

from creditrisk_assets import governing
from creditrisk_assets.defs.evaluation import EVALUATION, PREDICTIONS
from creditrisk_assets.defs.fairness import ALTERNATIVE_TABLE, FAIRNESS, PLOTS, PROXY_TABLE
from creditrisk_assets.defs.governance_file import COMPLETENESS, FILE, TOGETHER
from creditrisk_assets.defs.training import BUNDLE, MODEL
from creditrisk_assets.features.lineage import applicant_lineage
from creditrisk_assets.modelling.bundle import Bundle, read_public_key
from creditrisk_assets.modelling.fairness.alternatives import IN_USE
from creditrisk_assets.modelling.policy import load_policy
from creditrisk_assets_tests.integration.conftest import Graph, copied


@pytest.fixture(scope="module")
def groups(graph: Graph) -> pd.DataFrame:
    return pd.read_parquet(graph.lake.require(FAIRNESS).data)


def test_every_test_applicant_is_in_one_group_of_an_attribute(graph: Graph, groups: pd.DataFrame) -> None:
    tested = pd.read_parquet(graph.lake.require(EVALUATION).path / PREDICTIONS)
    for attribute, rows in groups.groupby("attribute"):
        counted = int(rows["applicants"].sum())
        assert counted <= len(tested), attribute
        if (rows["status"] == "measured").all():
            assert counted == len(tested), attribute
    numbers = groups.drop(columns=["attribute", "group", "compared_with", "status", "judged"])
    assert numbers[groups["status"] == "insufficient"].isna().all().all()


def test_attributes_that_are_read_for_the_tests_are_no_inputs(graph: Graph) -> None:
    bundle = Bundle.load(graph.lake.require(MODEL).path / BUNDLE, read_public_key(graph.settings.keys))
    tested = {one.column for one in load_policy().fairness.attributes}
    lineage = applicant_lineage()
    assert not [name for name in bundle.feature_names if tested & {column for _, column in lineage[name]}]


def test_the_frontier_and_the_proxies_are_saved_with_the_version(graph: Graph) -> None:
    version = graph.lake.require(FAIRNESS)
    table = pd.read_parquet(version.path / ALTERNATIVE_TABLE)
    assert table.loc[table["chosen"], "alternative"].tolist() == [IN_USE]
    assert {PROXY_TABLE, ALTERNATIVE_TABLE, *(f"{name}.png" for name in PLOTS)} <= set(version.manifest.files)


def test_the_file_of_the_champion_is_complete(graph: Graph) -> None:
    found = json.loads((graph.lake.require(FILE).path / COMPLETENESS).read_text("utf-8"))
    assert found["missing_required"] == []
    assert found["model_version"] == graph.lake.require(MODEL).version
    exported = json.loads((graph.settings.reports / TOGETHER / COMPLETENESS).read_text("utf-8"))
    assert exported == found


def test_every_number_of_the_file_can_be_taken_again(in_graph: Graph) -> None:
    found = governing.verification(in_graph.settings)
    assert found["differences"] == []
    assert found["values"] > 80


def test_a_tampered_number_is_named_and_a_removed_document_is_missed(graph: Graph, tmp_path) -> None:
    with copied(graph.settings.root, tmp_path / "home") as settings:
        card = settings.reports / TOGETHER / "model_card.json"
        card.write_text(card.read_text("utf-8").replace('"label": "AUC"', '"label": "AUC of the best"'), "utf-8")
        (settings.lake / "governance" / "data_sheet" / "CURRENT").unlink()
        named = {
            (one["document"], one["words"].split(";")[0]) for one in governing.verification(settings)["differences"]
        }
    assert named == {
        ("model_card", "the copy for people is not the document of the lake"),
        ("data_sheet", "governance/data_sheet was never published"),
    }
