"""What the graph's own evaluations leave: slices, the drill, the tidy tables, the bundle's reference."""

import json
from contextlib import contextmanager
from types import SimpleNamespace

import duckdb
import numpy as np
import pandas as pd
import pytest

from creditrisk_assets.defs.evaluation import EVALUATION
from creditrisk_assets.defs.robustness import APPLICATIONS, DRILL, SAMPLE, _applications
from creditrisk_assets.defs.slices import WEAK_SLICES
from creditrisk_assets.defs.split import SPLIT_TRAIN
from creditrisk_assets.defs.training import BUNDLE, MODEL, OUT_OF_FOLD
from creditrisk_assets.features.families import FAMILIES
from creditrisk_assets.modelling.bundle import Bundle, read_public_key
from creditrisk_assets_tests.integration.conftest import Graph


@pytest.fixture(scope="module")
def bundle(graph: Graph) -> Bundle:
    return Bundle.load(graph.lake.require(MODEL).path / BUNDLE, read_public_key(graph.settings.keys))


def test_the_bundle_s_reference_counts_the_training_part(graph: Graph, bundle: Bundle) -> None:
    part = pd.read_parquet(graph.lake.require(SPLIT_TRAIN).data)
    out_of_fold = pd.read_parquet(graph.lake.require(OUT_OF_FOLD).data).query("repeat == 0")
    reference = bundle.reference
    assert reference.applicants == len(part) == len(out_of_fold)
    assert reference.inputs.keys() == set(bundle.feature_names)
    for feature in bundle.features:
        found, column = reference.inputs[feature.name], part[feature.name]
        assert found.missing == column.isna().sum(), feature.name
        if feature.kind == "category":
            assert found.counts == column.value_counts().to_dict(), feature.name
    assert reference.scores.margins.maximum == out_of_fold["margin"].max()
    assert sum(reference.scores.decisions.counts.values()) == len(part)
    assert (graph.lake.require(MODEL).path / BUNDLE / "reference.json").stat().st_size < 1_000_000


def test_the_manifest_names_sql_and_contracts_of_every_family(bundle: Bundle) -> None:
    assert set(bundle.manifest["sql"]) == set(FAMILIES)
    assert {"application", "bureau", "bureau_balance"} <= set(bundle.manifest["contracts"])


def test_with_nothing_done_the_request_path_gives_the_margins_out_of_fold(graph: Graph) -> None:
    checks = {check["name"]: check for check in graph.lake.require(DRILL).manifest.metadata["checks"]}
    assert checks["unshocked_is_out_of_fold"]["passed"], checks["unshocked_is_out_of_fold"]["facts"]["description"]


def test_the_drill_looks_at_training_applicants_and_does_everything(graph: Graph) -> None:
    version = graph.lake.require(DRILL)
    table = pd.read_parquet(version.data).set_index("scenario")
    training = len(pd.read_parquet(graph.lake.require(SPLIT_TRAIN).data, columns=["sk_id_curr"]))
    assert set(table["applicants"]) == {min(SAMPLE, training)}
    assert {f"no {family}" for family in FAMILIES} < set(table.index)
    assert table.loc["no application", "decisions_flipped"] > 0
    halved = table.loc["incomes × 0.5"]
    assert halved["grade_worse"] + halved["grade_better"] > 0


def test_slices_look_at_training_applicants_out_of_fold(graph: Graph) -> None:
    table = pd.read_parquet(graph.lake.require(WEAK_SLICES).data)
    out_of_fold = pd.read_parquet(graph.lake.require(OUT_OF_FOLD).data).query("repeat == 0")
    single = table[table["second_feature"].isna()]
    flag = single[single["first_feature"] == "applicant__has_bureau"].set_index("first_value")
    part = pd.read_parquet(graph.lake.require(SPLIT_TRAIN).data, columns=["sk_id_curr", "applicant__has_bureau"])
    joined = part.merge(out_of_fold, on="sk_id_curr")
    for value, words in ((True, "yes"), (False, "no")):
        some = joined[joined["applicant__has_bureau"] == value]
        if words in flag.index:
            assert flag.loc[words, "applicants"] == len(some)
            assert np.isclose(flag.loc[words, "mean_pd"], some["pd"].mean())
    assert "application__gender_category" in set(single["first_feature"])


@pytest.mark.parametrize(
    ("key", "measured", "name"),
    [
        (EVALUATION, MODEL, "figures.parquet"),
        (WEAK_SLICES, OUT_OF_FOLD, "slices_figures.parquet"),
        (DRILL, OUT_OF_FOLD, "robustness_figures.parquet"),
    ],
)
def test_every_evaluation_is_exported_in_one_shape(graph: Graph, key: str, measured: str, name: str) -> None:
    table = pd.read_parquet(graph.settings.reports / "evaluation" / name)
    assert set(table["source"]) == {key}
    assert set(table["measured"]) == {measured}
    assert set(table["measured_version"]) == {graph.lake.require(measured).version}


def test_the_tidy_table_says_what_the_evaluation_says(graph: Graph) -> None:
    content = json.loads((graph.settings.reports / "evaluation" / "evaluation.json").read_text("utf-8"))
    values = pd.read_parquet(graph.settings.reports / "evaluation" / "figures.parquet").set_index(["name", "slice"])
    assert values.loc[("auc", "everybody"), "value"] == content["auc"]["value"]
    assert values.loc[("brier", "everybody"), "value"] == content["brier"]
    declined = next(row for row in content["tables"]["confusion"] if row["decision"] == "decline")
    assert values.loc[("defaults_share", "decision decline"), "value"] == declined["defaults_share"]


def test_a_training_applicant_whose_application_is_gone_ends_the_drill(graph: Graph) -> None:
    @contextmanager
    def connection():  # type: ignore[no-untyped-def]
        with duckdb.connect() as con:
            yield con

    work = SimpleNamespace(inputs={APPLICATIONS: graph.lake.require(APPLICATIONS)}, connection=connection)
    ids = pd.read_parquet(graph.lake.require(SPLIT_TRAIN).data, columns=["sk_id_curr"])["sk_id_curr"]
    wanted = ids.iloc[[2, 0, 1]].tolist()
    known = _applications(work, wanted, ["SK_ID_CURR", "AMT_CREDIT"])
    assert [row["SK_ID_CURR"] for row in known] == wanted
    with pytest.raises(ValueError, match="1 training applicants are not in raw/application_train any more"):
        _applications(work, [*ids.iloc[:2].tolist(), -1], ["SK_ID_CURR"])
