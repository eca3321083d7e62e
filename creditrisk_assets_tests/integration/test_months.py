"""Production months from their simulation to the page: scored by the champion, taken in by month, reused, refused in words."""

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from creditrisk_assets import running
from creditrisk_assets.defs.month_report import MONTH_PAGE, MONTH_REPORT
from creditrisk_assets.defs.months import FEATURES, MONTH_APPLICATIONS, MONTH_DRIFT, MONTH_PERFORMANCE, RAW_OUTCOMES
from creditrisk_assets.lake import Lake
from creditrisk_assets.running import RunError
from creditrisk_assets_tests.integration.conftest import Graph, copied
from creditrisk_serving.batches.commands import app
from creditrisk_serving.batches.months import simulated_months

MONTHS = ["2025-01", "2025-04"]
MONTHLY = (MONTH_APPLICATIONS, MONTH_DRIFT, RAW_OUTCOMES)


def simulate(*arguments: str) -> list[dict[str, object]]:
    done = CliRunner().invoke(
        app, ["simulate", *MONTHS, "--applicants", "250", "--json", *arguments], catch_exceptions=False
    )
    assert done.exit_code == 0
    return json.loads(done.output)


def test_months_from_simulation_to_page(graph: Graph, tmp_path: Path) -> None:
    with copied(graph.settings.root, tmp_path / "home") as settings:
        lake = Lake(settings.lake)
        first = simulate()
        assert [each["month"] for each in first] == MONTHS
        assert not any(each["reused"] for each in first)
        assert [each["reused"] for each in simulate()] == [True, True]
        with pytest.raises(RuntimeError, match="drawn before as quiet"):
            simulate("--scenario", "prior")
        assert simulated_months(settings) == MONTHS

        result = running.backfill(settings, MONTHS)
        assert result.succeeded, result.failures
        assert [(asset.key, asset.month) for asset in result.assets if asset.key == RAW_OUTCOMES] == [
            (RAW_OUTCOMES, month) for month in MONTHS
        ]
        for key in MONTHLY:
            assert list(lake.parts(key)) == MONTHS, key
        decided = lake.require(f"{MONTH_APPLICATIONS}/2025-01")
        features = pd.read_parquet(decided.path / FEATURES)
        rows = pd.read_parquet(decided.data)
        assert features["sk_id_curr"].tolist() == rows["sk_id_curr"].tolist()
        assert features["pd"].tolist() == rows["pd"].tolist()
        assert rows["gender"].notna().all()
        outcomes = pd.read_parquet(lake.require(f"{RAW_OUTCOMES}/2025-04").data)
        granted = rows.loc[rows["decision"] != "decline", "sk_id_curr"]
        assert outcomes["SK_ID_CURR"].isin(granted).all(), "of the refused nobody learns anything"
        facts = lake.require(MONTH_PERFORMANCE).manifest.metadata["facts"]
        assert [month["month"] for month in facts["months"]] == MONTHS
        assert (settings.reports / MONTH_PAGE).read_text() == (lake.require(MONTH_REPORT).path / MONTH_PAGE).read_text()

        # one outcome is delivered for another month: the last good version stays, and what follows is not run; the drift of a month may
        # know outcomes by now that came after it
        delivered = settings.month_files / "2025-04.outcomes.parquet"
        pd.read_parquet(delivered).assign(OBSERVED_MONTH="2025-03").to_parquet(delivered, index=False)
        before = lake.require(f"{RAW_OUTCOMES}/2025-04").version
        again = running.backfill(settings, MONTHS)
        assert {asset.key for asset in again.assets if asset.outcome == "built"} <= {MONTH_DRIFT}
        assert "of_the_month" in " ".join(again.failures)
        assert lake.require(f"{RAW_OUTCOMES}/2025-04").version == before
        assert any(MONTH_PERFORMANCE in key for key in again.not_run)


@pytest.mark.parametrize(("select", "words"), [(RAW_OUTCOMES, "creditrisk backfill"), ("group:months", None)])
def test_a_run_without_a_month_takes_no_monthly_asset(select: str, words: str | None) -> None:
    locations = running._locations(running.RunResult(), lambda *_: None)
    if words is not None:
        with pytest.raises(RunError, match=words):
            running._select(select, locations)
        return
    chosen = {running._name(key) for keys in running._select(select, locations).values() for key in keys}
    assert chosen == {MONTH_PERFORMANCE, MONTH_REPORT}


def test_a_month_outside_the_graph_is_refused_in_words() -> None:
    with pytest.raises(RunError, match=r"2019-01: not among the graph's months, 2024-01\.\."):
        running.backfill(None, ["2019-01"])
