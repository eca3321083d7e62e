"""Is the shadow as good as the champion: a sequential test of what both scored of live traffic, asked every hour while there is one."""

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple

import dagster as dg
import numpy as np
import pandas as pd

from creditrisk_assets.contracts.check import check
from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.contracts.months import EARLY
from creditrisk_assets.contracts.registry import SHADOW_PATH
from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.defs.artefact import Artefact, CheckOutcome, Made, Work, picture_of
from creditrisk_assets.defs.columns import schema_of
from creditrisk_assets.defs.contract_checks import CONTRACT, contract_outcomes
from creditrisk_assets.defs.promotion import open_ledger, tell, withdraw_name
from creditrisk_assets.defs.vocabulary import Describe
from creditrisk_assets.lake import Lake, Version
from creditrisk_assets.modelling.bundle import SHADOW_POINTER
from creditrisk_assets.modelling.policy import PolicyError, load_policy
from creditrisk_assets.registry import sequential
from creditrisk_assets.registry.changing import PLATFORM, RefusedError
from creditrisk_assets.registry.ledger import champion_at, namings
from creditrisk_assets.registry.sequential import Pairs, Verdict, judge
from creditrisk_assets.registry.versions import SHADOW
from creditrisk_assets.settings import Settings
from creditrisk_serving.decisions.database import Pair, reading
from creditrisk_serving.settings import ServingSettings

KEY = "registry/shadow"
OUTCOMES = "raw/outcomes"
PLOT, NONE = "shadow.png", "no shadow"
TOLERATED = {
    "as_tolerated": "Nothing the shadow decided otherwise than the champion is beyond what the policy's `shadow:` tolerates."
}


class _Named(NamedTuple):
    """Which version is shadow, since when, and beside which champion."""

    shadow: str
    champion: str
    since: str
    entry: int  # of the ledger, that named it


def _make(work: Work) -> Made:
    named = _named(work.settings)
    verdict = Verdict("continue", "no version is shadow", ())
    if named is not None:
        limits = load_policy(work.settings.policy).shadow
        if limits is None:
            raise PolicyError(
                "the policy has no `shadow:`; copy the section of creditrisk_assets/modelling/policy.yaml and set the limits"
            )
        verdict = judge(_pairs(work, named), limits)
        (work.draft.path / PLOT).write_bytes(sequential.draw(verdict))
    rows = pd.DataFrame(sequential.rows_of(verdict), columns=[column.name for column in SHADOW_PATH.columns])
    if rows.empty:
        rows = rows.astype({"figure": "string", "pairs": "int64"} | dict.fromkeys(rows.columns[2:], "float64"))
    rows.to_parquet(work.draft.data, index=False, compression="zstd")
    with work.connection() as con:
        contract = contract_outcomes(check(con, parquet(work.draft.data), SHADOW_PATH))
    word = NONE if named is None else verdict.word
    tolerated = CheckOutcome("as_tolerated", passed=word != "stop", facts={"description": verdict.why}, severity="WARN")
    facts = {
        "rows": len(rows),
        "verdict": word,
        "why": verdict.why,
        "shadow": named.shadow if named else None,
        "champion": named.champion if named else None,
        "since": named.since if named else None,
    }
    return Made(facts, [*contract, tolerated])


def _named(settings: Settings) -> _Named | None:
    with open_ledger(settings) as ledger:
        entries = ledger.entries()
    naming, champion = namings(entries).get(SHADOW), champion_at(entries)
    if naming is None or champion is None or naming.event.model_version == champion.event.model_version:
        return None
    return _Named(
        naming.event.model_version,
        champion.event.model_version,
        max(naming.event.at, champion.event.at),
        naming.sequence,
    )


def _pairs(work: Work, named: _Named) -> Pairs:
    with reading(ServingSettings(platform=work.settings).decision_log_url) as database:
        found = list(database.shadowed(named.champion, named.shadow, named.since))
    table = pd.DataFrame(found, columns=list(Pair._fields))
    known = table.reset_index(names="place").merge(_outcomes(work.lake), left_on="applicant_id", right_on="SK_ID_CURR")
    known = known.sort_values(
        ["OBSERVED_MONTH", "place"]
    )  # as they became known: what is known later changes nothing before
    return Pairs(
        champion_pd=table["pd"].to_numpy(np.float64),
        shadow_pd=table["shadow_pd"].to_numpy(np.float64),
        champion_approves=(table["decision"] == "approve").to_numpy(bool),
        shadow_approves=(table["shadow_decision"] == "approve").to_numpy(bool),
        outcomes=known["OUTCOME"].to_numpy(np.float64),
        decided=known["place"].to_numpy(np.intp),
    )


def _outcomes(lake: Lake) -> pd.DataFrame:
    """Read the outcomes of loans old enough to tell, of every published month."""
    columns = ["SK_ID_CURR", "OUTCOME", "OBSERVED_MONTH", "MATURITY"]
    months = [lake.require(f"{OUTCOMES}/{month}").data for month in lake.parts(OUTCOMES)]
    tables = [pd.read_parquet(path, columns=columns) for path in months]
    every = pd.concat(tables) if tables else pd.DataFrame(columns=columns).astype({"SK_ID_CURR": "int64"})
    return every[every["MATURITY"] != EARLY].drop_duplicates("SK_ID_CURR")


def _show(version: Version) -> Mapping[str, dg.MetadataValue]:
    facts = version.manifest.metadata["facts"]
    shown: dict[str, dg.MetadataValue] = {
        "verdict": dg.MetadataValue.text(facts["verdict"]),
        "why": dg.MetadataValue.text(facts["why"]),
    }
    if facts["shadow"] is not None:
        shown |= {name: dg.MetadataValue.text(facts[name]) for name in ("shadow", "champion", "since")}
        shown["plot"] = picture_of(version.path / PLOT)
    return shown


def _also_from(settings: Settings, lake: Lake) -> Mapping[str, str]:
    """Fingerprint who is compared, how many decisions and outcomes there are, and what is tolerated."""
    named, limits = _named(settings), load_policy(settings.policy).shadow
    found = {"named": json.dumps(named), "limits": code_version(limits.model_dump(mode="json") if limits else {})}
    if named is not None:
        with reading(ServingSettings(platform=settings).decision_log_url) as database:
            found["pairs"] = str(database.count_shadowed(named.champion, named.since))
        found["outcomes"] = json.dumps(
            {month: lake.require(f"{OUTCOMES}/{month}").version for month in lake.parts(OUTCOMES)}
        )
    return found


def _export(settings: Settings, _lake: Lake, version: Version) -> None:
    """Act on the verdict: a shadow that is stopped loses its name, and somebody is told."""
    facts = version.manifest.metadata["facts"]
    if facts["verdict"] == "stop":
        with suppress(RefusedError):  # somebody took it back before
            withdraw_name(
                settings,
                SHADOW,
                identity=PLATFORM,
                reason=facts["why"],
                expected=facts["shadow"],
                evidence=version.version,
            )
        words = f"{facts['shadow']} is no longer shadow: {facts['why']}"
        remedy = "look at registry/shadow; name another by `creditrisk promote VERSION --to shadow`"
        tell(settings, words, detail=SHADOW, severity="warning", remedy=remedy)
    elif facts["verdict"] != NONE:
        tell(settings, None, detail=SHADOW)


THE_SHADOW = Artefact(
    key=KEY,
    group="serving",
    kinds=frozenset({"parquet", "sqlite"}),
    describe=Describe(
        what=(
            "The shadow against the champion on live decisions: confidence sequences of approval rate, mean PD and, of known outcomes,"
            " Brier score. It says continue, stop or enough; on stop the shadow loses its name, and somebody is told."
        ),
        grain="one row per figure and number of pairs drawn",
        built_from="the decision log, `raw/outcomes`, the registry's ledger, the policy",
        known_at="the moment of the decisions; outcomes when they were seen",
        consumed_by="approvers; alerts",
        fails_when="the table leaves its contract, the log or the ledger cannot be read, or a shadow cannot lose its name",
        source="creditrisk_assets/registry/sequential.py",
    ),
    code_version=code_version(sequential, SHADOW_PATH.model),
    make=_make,
    show=_show,
    after=("registry/canary",),
    checks=CONTRACT | TOLERATED,
    advisory=frozenset(TOLERATED),
    also_from=_also_from,
    export=_export,
    columns=schema_of(SHADOW_PATH),
)
ARTEFACTS = (THE_SHADOW,)

watch_shadow = dg.define_asset_job(
    "watch_shadow",
    selection=dg.AssetSelection.assets(dg.AssetKey(KEY.split("/"))),
    description="The sequential test of the shadow against the champion, on what both scored of live traffic.",
)


@dg.schedule(
    name="hourly_watch_shadow",
    job=watch_shadow,
    cron_schedule="30 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every hour while a version is shadow, so that a bad one is stopped the hour it is found out.",
)
def hourly_watch_shadow(_context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Run `watch_shadow` where there is a shadow."""
    if not (Settings().bundles / SHADOW_POINTER).exists():
        return dg.SkipReason("no version is shadow")
    return dg.RunRequest(run_key=f"{datetime.now(UTC):%Y-%m-%dT%H}")
