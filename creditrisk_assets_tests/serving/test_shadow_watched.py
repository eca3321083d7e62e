"""registry/shadow: what the log holds of both is judged, and a shadow that is stopped loses its name, on record and told."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from creditrisk_assets import promoting, running
from creditrisk_assets.lake import Lake
from creditrisk_assets.modelling.bundle import follow
from creditrisk_assets.registry import versions
from creditrisk_assets.resources.mlflow import connect
from creditrisk_assets_tests.serving.records import record
from creditrisk_assets_tests.serving.test_journal import started
from creditrisk_assets_tests.serving.test_promotion import NAME, Desk, desk, prepared
from creditrisk_serving.decisions.schemas import DecisionRecord, Shadowed
from creditrisk_serving.defs.shadow import KEY, hourly_watch_shadow

__all__ = ["desk", "prepared"]


@pytest.fixture
def watched(desk: Desk) -> Desk:
    """A desk whose challenger is the shadow."""
    promoting.give_alias(
        desk.settings, "2", "shadow", identity="Ada", reason="a month beside the champion", override=()
    )
    return desk


def decided(desk: Desk, count: int, *, shift: float, shadow: str | None = None, ago: int = 0) -> None:
    """Store decisions that the shadow scored too, by a seed."""
    random = np.random.default_rng(count)
    at = datetime.now(UTC) - timedelta(days=ago)

    def one(place: int, pd: float) -> DecisionRecord:
        other = Shadowed(shadow or desk.challenger, pd + shift, "approve" if pd + shift < 0.1 else "decline", "B")
        return record(
            decided_at=(at + timedelta(milliseconds=place)).isoformat(timespec="microseconds"),
            applicant_id=100_000 + place,
            model_version=desk.champion,
            pd=pd,
            decision="approve" if pd < 0.1 else "decline",
            shadow=other,
        )

    with started(desk.settings.root) as log:
        log.store([one(place, pd) for place, pd in enumerate(random.uniform(0.01, 0.2, count).tolist())])


def judged(desk: Desk) -> dict[str, object]:
    result = running.materialize(desk.settings, KEY)
    assert result.failures == []
    return dict(Lake(desk.settings.lake).require(KEY).manifest.metadata["facts"])


def observed(desk: Desk, count: int) -> None:
    """Publish outcomes of the first applicants decided, and one that came too early to tell."""
    lake = Lake(desk.settings.lake)
    rows = pd.DataFrame({"SK_ID_CURR": range(100_000, 100_001 + count), "OUTCOME": 0, "OBSERVED_MONTH": "2026-05"})
    rows["MATURITY"] = ["matured"] * count + ["early"]
    with lake.draft("raw/outcomes/2026-05") as draft:
        rows.to_parquet(draft.data)
        lake.publish(draft, code_version="test", inputs={}, metadata={"facts": {}, "checks": []})


def asked() -> object:
    return hourly_watch_shadow(dg.build_schedule_context())


def test_a_bad_shadow_is_stopped_on_record_and_told_and_the_next_is_judged_from_its_own_beginning(
    watched: Desk,
) -> None:
    settings = watched.settings
    decided(watched, 400, shift=-0.4, ago=2)  # before it was named
    decided(watched, 400, shift=-0.4, shadow="0123456789abcdef")  # another one's
    assert judged(watched)["verdict"] == "continue"
    assert isinstance(asked(), dg.RunRequest)
    decided(watched, 500, shift=0.3)
    observed(watched, 100)
    facts = judged(watched)
    assert (facts["verdict"], facts["shadow"], facts["champion"]) == ("stop", watched.challenger, watched.champion)
    assert follow(settings.bundles, "SHADOW") is None
    connect(settings)
    assert versions.by_alias(NAME, "shadow") is None
    last = watched.entries[-1].event
    assert (last.kind, last.identity, last.details["withdrawn"]) == ("alias", "platform", True)
    assert last.evidence == Lake(settings.lake).require(KEY).version
    assert last.reason == facts["why"]
    (alert,) = watched.alerts()
    assert alert.startswith(f"{watched.challenger} is no longer shadow: beyond what is tolerated: approval rate -")
    watched.require(watched.champion)
    table = pd.read_parquet(Lake(settings.lake).require(KEY).data)
    assert table.groupby("figure")["pairs"].max().to_dict() == {
        "approval_rate": 500,
        "mean_pd": 500,
        "brier_loss": 100,
    }
    assert judged(watched)["verdict"] == "no shadow"
    assert isinstance(asked(), dg.SkipReason)
    promoting.give_alias(settings, "2", "shadow", identity="Ada", reason="once more", override=())
    assert judged(watched)["verdict"] == "continue"
    assert watched.alerts() == []
