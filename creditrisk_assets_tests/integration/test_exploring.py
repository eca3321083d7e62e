"""`creditrisk features`: what is told of a feature is what the contracts, the lake and the model say."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import Result
from typer.testing import CliRunner

from creditrisk_assets.cli import app
from creditrisk_assets.exploring import UnknownFeatureError
from creditrisk_assets.features.families import FAMILIES, applicant_features
from creditrisk_assets.features.profile import FEWEST
from creditrisk_assets.lake import Lake
from creditrisk_assets.settings import Settings
from creditrisk_assets_tests.integration.conftest import Graph

COMMAND = Path(sys.executable).with_name("creditrisk")
NAMES = [feature.name for feature in applicant_features()]
NUMBER, RATIO = "application__income_amt", "installments__late_share_ratio_90d_365d"
CATEGORY, FLAG, PROHIBITED = "application__education_category", "applicant__has_bureau", "application__age_days"
MEASURED = ("published", "reference", "drift", "model")


def command(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["features", *arguments])


def told(name: str) -> dict[str, Any]:
    result = command("describe", name, "--json")
    assert result.exception is None, result.exception
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def facts_of_model(graph: Graph) -> dict[str, Any]:
    return dict(graph.lake.require("model/pd").manifest.metadata["facts"])


def drop_column(graph: Graph, lake: Lake, key: str, name: str) -> None:
    """Publish the graph's table in another lake without one of its columns."""
    with lake.draft(key) as draft:
        source = graph.lake.require(key)
        duckdb.sql(f"copy (select * exclude ({name}) from '{source.data}' limit 50) to '{draft.data}'")
        lake.publish(draft, code_version="1", inputs={}, metadata=source.manifest.metadata)


def test_every_feature_is_listed_in_column_order() -> None:
    found = json.loads(command("list", "--json").stdout)
    assert [each["name"] for each in found] == NAMES
    assert set(found[0]) == {"name", "family", "unit", "kind", "description"}


@pytest.mark.parametrize("pattern", ["bureau__*_365d", "Bureau__*_365D"])
def test_a_pattern_lists_the_names_that_fit_it(pattern: str) -> None:
    found = [each["name"] for each in json.loads(command("list", pattern, "--json").stdout)]
    assert found == [name for name in NAMES if name.startswith("bureau__") and name.endswith("_365d")]


def test_a_word_lists_names_and_descriptions_that_hold_it() -> None:
    text = command("list", "days late").stdout
    assert "installments__late_days_max " in text
    assert "application__income_amt" not in text
    assert "all of one: `creditrisk features describe NAME`" in text.replace("\n", " ")


def test_a_feature_is_defined_as_its_contract_its_sql_and_its_lineage_say(in_graph: Graph) -> None:
    found = told(RATIO)
    (contract,) = [each for each in FAMILIES["installments"].features if each.name == RATIO]
    assert [found[key] for key in ("description", "unit", "kind", "minimum", "maximum", "known_at")] == [
        contract.description, contract.unit, contract.kind, contract.minimum, contract.maximum, contract.known_at,
    ]  # fmt: skip
    assert (found["family"], found["grain"], found["known_before"]) == ("installments", "one row per SK_ID_CURR", True)
    assert found["grid"]["windows"] == ["due_days <= 90", "due_days <= 365"]
    assert found["lineage"].keys() == {"raw/installments_payments"}
    assert {"DAYS_ENTRY_PAYMENT", "DAYS_INSTALMENT"} <= set(found["lineage"]["raw/installments_payments"])
    assert found["expressions"][0]["column"] == RATIO
    assert (Path(__file__).parents[2] / found["source"]).is_file()


def test_a_snapshot_feature_is_known_on_the_application_day_alone(in_graph: Graph) -> None:
    assert not told(CATEGORY)["known_before"]
    assert "alone: NULL before" in command("describe", CATEGORY).stdout


@pytest.mark.parametrize(
    ("section", "key"), [("published", "features/applicant"), ("reference", "training/split_train")]
)
def test_a_distribution_is_that_of_the_table(in_graph: Graph, section: str, key: str) -> None:
    found, version = told(NUMBER)[section], in_graph.lake.require(key)
    assert (found["key"], found["version"]) == (key, version.version)
    figures = f"count(*), 1 - count({NUMBER}) / count(*), min({NUMBER}), max({NUMBER}), avg({NUMBER}), median({NUMBER})"
    expected = duckdb.sql(f"select {figures} from '{version.data}'").fetchone()
    median = dict(map(tuple, found["quantiles"]))[0.5]
    assert (*(found[name] for name in ("rows", "null_share", "minimum", "maximum", "mean")), median) == pytest.approx(
        expected
    )


def test_a_category_is_shares_of_values_that_enough_applicants_have(in_graph: Graph) -> None:
    found, table = told(CATEGORY)["published"], in_graph.lake.require("features/applicant").data
    counts = dict(duckdb.sql(f"select {CATEGORY}, count(*) from '{table}' group by all").fetchall())
    known = sum(count for value, count in counts.items() if value is not None)
    expected = {value: count / known for value, count in counts.items() if value is not None and count >= FEWEST}
    assert {bar["label"]: bar["share"] for bar in found["bars"]} == pytest.approx(expected)
    assert (found["mean"], found["quantiles"]) == (None, [])


def test_no_output_names_a_value_of_fewer_applicants_than_the_limit(in_graph: Graph) -> None:
    table = in_graph.lake.require("features/applicant").data
    name = "application__organization_category"
    rare = [
        value
        for (value,) in duckdb.sql(
            f"select {name} from '{table}' where {name} is not null group by all having count(*) < {FEWEST}"
        ).fetchall()
    ]
    assert rare
    bars = [bar["label"] for section in ("published", "reference") for bar in told(name)[section]["bars"]]
    assert not set(rare) & set(bars)
    assert "in rarer values, not named" in command("describe", name).stdout


def test_drift_is_that_of_the_last_report_with_its_date_and_its_two_sides(in_graph: Graph) -> None:
    report = in_graph.lake.require("monitoring/drift")
    row = duckdb.sql(f"select * from '{report.data}' where feature = '{NUMBER}'").fetchdf().iloc[0]
    found = told(NUMBER)["drift"]
    assert [found[name] for name in ("statistic", "threshold", "drifted")] == [
        row["statistic"], row["threshold"], row["drifted"],
    ]  # fmt: skip
    assert found["measured_at"] == report.manifest.created_at
    assert found["reference_version"] == in_graph.lake.require("training/split_train").version
    assert found["current_version"] == in_graph.lake.require("features/applicant").version
    facts = report.manifest.metadata["facts"]
    assert (found["reference_rows"], found["current_rows"]) == (facts["reference_rows"], facts["current_rows"])
    text = command("describe", NUMBER).stdout
    assert f"measured {report.manifest.created_at} on {facts['current_rows']:,} applicants" in text


def test_importance_is_the_share_of_gain_and_the_rank_in_the_champion(in_graph: Graph) -> None:
    version = in_graph.lake.require("model/pd")
    gains: dict[str, float] = json.loads((version.path / "importance.json").read_text())
    strongest = max(gains, key=lambda name: gains[name])
    found = told(strongest)["model"]
    assert (found["role"], found["version"], found["inputs"]) == ("champion", version.version, len(gains))
    assert (found["is_input"], found["share_of_gain"], found["rank"]) == (True, gains[strongest], 1)
    unused = next(name for name, gain in gains.items() if not gain)
    assert (told(unused)["model"]["rank"], told(unused)["model"]["is_input"]) == (None, True)
    assert "an input, but no split uses it" in command("describe", unused).stdout


def test_a_prohibited_feature_says_that_it_is_kept_for_testing_and_why(in_graph: Graph) -> None:
    found = told(PROHIBITED)
    assert "kept for testing only by policy, because it is made from DAYS_BIRTH" in found["model"]["words"]
    assert not found["model"]["is_input"]
    assert found["drift"] == {"missing": "not measured: the drift report looks at the inputs of the model alone"}
    assert found["published"]["mean"] > 0


def test_a_dropped_feature_says_why(in_graph: Graph) -> None:
    name, reason = next(iter(facts_of_model(in_graph)["dropped"].items()))
    assert told(name)["model"]["words"] == f"not a model input: dropped because it has {reason}"


def test_a_flag_of_the_join_is_described_like_any_other(in_graph: Graph) -> None:
    found = told(FLAG)
    assert found["lineage"] == {"raw/bureau": ["SK_ID_CURR"]}
    assert (Path(__file__).parents[2] / found["source"]).is_file()
    assert {bar["label"] for bar in found["published"]["bars"]} == {"yes", "no"}


@pytest.mark.parametrize("name", [NUMBER, RATIO, CATEGORY, FLAG, PROHIBITED])
def test_people_see_every_section(in_graph: Graph, name: str) -> None:
    text = command("describe", name).stdout
    for words in ("family", "value", "known at", "from", "SQL", *MEASURED, "NULL", "champion", "█"):
        assert words in text
    assert ("bounds" in text) == (name in (NUMBER, RATIO, PROHIBITED))


@pytest.mark.parametrize("name", [NUMBER, FLAG])
def test_with_nothing_published_the_definition_is_told_and_what_to_run(name: str) -> None:
    found = told(name)
    assert found["lineage"]
    assert found["expressions"]
    for section, key in zip(
        MEASURED, ("features/applicant", "training/split_train", "monitoring/drift", "model/pd"), strict=True
    ):
        assert f"run `creditrisk run --select {key}`" in found[section]["missing"]
    assert "features/applicant was never published; run `creditrisk run --select features/applicant`" in command(
        "describe", name
    ).stdout.replace("\n", " ")
    assert not Settings().root.exists()


def test_a_feature_younger_than_what_is_published_says_so(graph: Graph) -> None:
    lake = Lake(Settings().lake)
    drop_column(graph, lake, "features/applicant", NUMBER)
    found = told(NUMBER)
    assert "was published before this feature existed; run `creditrisk run`" in found["published"]["missing"]
    assert told(PROHIBITED)["published"]["rows"] == 50


def test_a_damaged_table_says_so_and_the_rest_is_told(graph: Graph) -> None:
    lake = Lake(Settings().lake)
    drop_column(graph, lake, "features/applicant", FLAG)
    drop_column(graph, lake, "training/split_train", FLAG)
    lake.require("features/applicant").data.write_bytes(b"no Parquet")
    found = told(NUMBER)
    assert "cannot be read; run `creditrisk run` to rebuild it" in found["published"]["missing"]
    assert found["reference"]["rows"] == 50


def _with_the_graphs_lake(graph: Graph) -> Settings:
    settings = Settings()
    settings.root.mkdir(parents=True)
    settings.lake.symlink_to(graph.lake.root)
    return settings


def test_without_a_champion_the_last_model_answers(graph: Graph) -> None:
    _with_the_graphs_lake(graph)
    found = told(NUMBER)
    assert found["model"]["role"] == "last trained, not the champion"
    assert found["model"]["version"] == graph.lake.require("model/pd").version


def test_a_champion_of_another_lake_leaves_the_rest_told(graph: Graph) -> None:
    settings = _with_the_graphs_lake(graph)
    settings.bundles.mkdir()
    (settings.bundles / "CURRENT").write_text(json.dumps({"version": "0123456789abcdef"}))
    found = told(NUMBER)
    assert "the champion 0123456789abcdef was not trained in this lake" in found["model"]["missing"]
    assert found["reference"]["rows"] > 0
    (settings.bundles / "CURRENT").write_text("{")
    assert "is damaged; promote a version again" in told(NUMBER)["model"]["missing"]


def another_model(graph: Graph, importance: dict[str, float], **facts: Any) -> None:
    """Publish a model like the graph's, with another importance and other facts, in the test's own lake."""
    lake, manifest = Lake(Settings().lake), graph.lake.require("model/pd").manifest
    with lake.draft("model/pd") as draft:
        (draft.path / "importance.json").write_text(json.dumps(importance))
        metadata = {**manifest.metadata, "facts": manifest.metadata["facts"] | facts}
        lake.publish(draft, code_version="1", inputs=manifest.inputs, metadata=metadata)


def test_a_feature_younger_than_the_model_says_so(graph: Graph) -> None:
    another_model(graph, {"application__credit_amt": 1.0})
    assert told(NUMBER)["model"]["words"] == "not a model input: the model was trained before this feature existed"


def test_a_feature_allowed_in_spite_of_its_lineage_says_why(graph: Graph) -> None:
    reason = {PROHIBITED: "the law asks for the age of majority"}
    another_model(graph, {NUMBER: 0.75, PROHIBITED: 0.25}, kept_for_testing_only={}, allowed_by_policy=reason)
    words = "25.00% of the gain of all splits, rank 2 of 2 inputs; the policy allows it in spite of its lineage: the law asks"
    assert told(PROHIBITED)["model"]["words"].startswith(words)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["describe", "installments__late_shares"], "there is no feature installments__late_shares; did you mean installments__late_share"),
        (["describe", "☃"], "there is no feature ☃; `creditrisk features list` shows all of them"),
        (["list", "bureau__*_366d"], "no feature fits bureau__*_366d; did you mean bureau__"),
    ],
)  # fmt: skip
def test_an_unknown_name_is_one_line_with_the_closest_ones(arguments: list[str], says: str) -> None:
    result = command(*arguments)
    assert isinstance(result.exception, UnknownFeatureError)
    assert str(result.exception).startswith(says)


def test_the_command_fails_with_one_line_and_imports_nothing_slow() -> None:
    done = subprocess.run([COMMAND, "features", "describe", "late_share"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert done.stderr.startswith("error: there is no feature late_share")
    slow = "import sys, creditrisk_assets.exploring, creditrisk_assets.shell; print({'dagster', 'mlflow'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", slow], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
