"""The code location and the daemon die in a run: it ends clearly and is made good, and nothing is made twice.

It prints its figures (`pytest -m drill -s`); docs/operations.md has those of one machine.
"""

import time
from collections import Counter
from pathlib import Path

import pytest

from creditrisk_assets_tests.integration.platforms import Production, production

RESTART_SECONDS = 5  # an engine's restart of a container
HALFWAY = 10  # assets, of which the first are raw tables
PARENT = "dagster/parent_run_id"
FAILURES = """query ($run: ID!) { logsForRun(runId: $run) { ... on EventConnection { events { __typename
  ... on ExecutionStepFailureEvent { error { message } failureMetadata { description } }
  ... on RunFailureEvent { message }
  ... on MaterializationEvent { assetKey { path } metadataEntries { label ... on BoolMetadataEntry { boolValue } } } } } } }"""


def events(platform: Production, run: str) -> list[dict]:
    return platform.ask(FAILURES, run=run)["logsForRun"]["events"]


def why(platform: Production, run: str) -> str:
    """What a failed run says of itself."""
    words = [
        (event.get("failureMetadata") or {}).get("description") or (event.get("error") or event).get("message", "")
        for event in events(platform, run)
        if event["__typename"] in ("ExecutionStepFailureEvent", "RunFailureEvent")
    ]
    return " ".join(" ".join(words).split())


def reported(platform: Production, run: str) -> list[str]:
    """The assets a run has materialized so far."""
    return [
        "/".join(event["assetKey"]["path"])
        for event in events(platform, run)
        if event["__typename"] == "MaterializationEvent"
    ]


def built(platform: Production, runs: list[str]) -> Counter[str]:
    """How often each asset was made, not reused, by some runs."""
    return Counter(
        "/".join(event["assetKey"]["path"])
        for run in runs
        for event in events(platform, run)
        if event["__typename"] == "MaterializationEvent"
        and {entry["label"]: entry.get("boolValue") for entry in event["metadataEntries"]}.get("reused") is False
    )


def family(platform: Production, run: str) -> list[str]:
    """A run and those that were launched in its place, in their order."""
    found = [run]
    parents = {
        tag["value"]: other for other, told in platform.runs().items() for tag in told["tags"] if tag["key"] == PARENT
    }
    while found[-1] in parents:
        found.append(parents[found[-1]])
    return found


def shown(figures: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print("\n" + "\n".join(f"{name}: {words}" for name, words in figures.items()))  # noqa: T201 - the drill's figures


@pytest.mark.drill
def test_a_run_outlives_its_code_location_and_the_daemon(
    portfolio: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures: dict[str, str] = {}
    with production(None, portfolio, tmp_path / "platform") as platform:
        first = platform.launch("refresh_portfolio")
        platform.until(lambda: len(reported(platform, first)) >= HALFWAY, "the first tables", 900)
        platform.processes.kill("code-assets")  # and the run with it; the engine restarts it
        time.sleep(RESTART_SECONDS)
        platform.processes.start("code-assets")
        failed = platform.until(lambda: platform.status(first) == "FAILURE", "the failure of the killed run")
        retried = platform.until(lambda: len(family(platform, first)) == 2, "a retry")
        second = family(platform, first)[1]
        platform.until(lambda: platform.status(second) == "STARTED", "the start of the retry")
        figures["code location killed in a run"] = (
            f"the run failed {failed:.0f} s after the restart, its retry was there {retried:.0f} s later;"
            f" it said: {why(platform, first)}"
        )
        platform.processes.kill("daemon")
        time.sleep(RESTART_SECONDS)
        platform.processes.start("daemon")
        assert platform.finished(second) == "SUCCESS", why(platform, second)
        assert family(platform, first) == [first, second]
        times = built(platform, [first, second])
        assert set(times.values()) == {1}, "nothing is made twice"
        figures["daemon killed in a run"] = f"the run went on to its end; both made {len(times)} assets, each once"
    shown(figures, capsys)
