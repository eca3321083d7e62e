"""Simulated production months as the feeds a lender would deliver: applications, scores, features, and outcomes as they become known.

What belongs here: scoring a drawn month by the code of `creditrisk score` and writing the month's files. What does not: whom a month draws
and what becomes of them (`creditrisk_assets.simulation.months`), reading the files (`creditrisk_assets.defs.months`).

What becomes of an applicant is kept apart from the feeds, and told by the outcomes' file of the month in which it is seen: revealing a
month also tells what was seen in it of earlier months.
"""

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from creditrisk_assets.contracts.months import EARLY, LATE, MATURED
from creditrisk_assets.ingestion.disk import only_writer
from creditrisk_assets.lake import write_atomically
from creditrisk_assets.settings import Settings
from creditrisk_assets.simulation.months import (
    MATURITY_MONTHS,
    Month,
    draw_month,
    month_name,
    month_number,
    month_scenario,
)
from creditrisk_assets.simulation.writer import arrow_table
from creditrisk_serving.batches.champion import load_champion
from creditrisk_serving.batches.job import Batch, Outcome, Progress, score_batch
from creditrisk_serving.decisions.log import DecisionLog

REFUSED = "decline"


class SimulationError(RuntimeError):
    """A month cannot be simulated; the message says what to do."""


@dataclass(frozen=True)
class Asked:
    """How a month is drawn; what is kept of it, so that the same is not drawn twice."""

    month: str
    scenario: str
    seed: int
    applicants: int


@dataclass(frozen=True)
class Revealed:
    """What became of a month."""

    month: str
    scenario: str
    applicants: int
    scored: int
    approved: int
    outcomes: int  # that are known by the end of this month, of all months
    reused: bool


def simulate_month(
    asked: Asked,
    settings: Settings,
    public_key: bytes,
    log: DecisionLog,
    *,
    overwrite: bool = False,
    progress: Progress = lambda *_: None,
) -> Revealed:
    """Draw a month, score it by the published bundle, and write its files.

    Parameters
    ----------
    asked
        How it is drawn.
    settings
        Where the bundle is and where the files go.
    public_key
        The key the bundle must be signed with.
    log
        The decision log, which gets the batch.
    overwrite
        Whether a month that was drawn otherwise is replaced.
    progress
        Told how far each step is.

    Raises
    ------
    SimulationError
        The month was drawn otherwise before, or months are configured to come from elsewhere.
    """
    if settings.months is not None:
        raise SimulationError(
            "CREDITRISK_MONTHS names where real months come from; unset it, or set another CREDITRISK_HOME to simulate"
        )
    settings.month_files.mkdir(parents=True, exist_ok=True)
    settings.simulation.mkdir(parents=True, exist_ok=True)
    known = settings.simulation / f"{asked.month}.json"
    with only_writer(settings.simulation / "months"):
        reused = _drawn_before(known, asked, overwrite=overwrite)
        if not reused:
            month = draw_month(
                asked.month, month_scenario(asked.scenario), seed=asked.seed, applicants=asked.applicants
            )
            _score(month, settings, public_key, log, progress)
            _keep_truth(month, settings)
            write_atomically(known, json.dumps(asdict(asked)))
        outcomes = _tell_outcomes(settings)
    decisions = pd.read_parquet(_scores(settings, asked.month), columns=["decision"])["decision"]
    return Revealed(
        asked.month, asked.scenario, asked.applicants, len(decisions), int((decisions == "approve").sum()),
        outcomes[asked.month], reused,
    )  # fmt: skip


def _drawn_before(known: Path, asked: Asked, *, overwrite: bool) -> bool:
    if overwrite or not known.exists():
        return False
    before = Asked(**json.loads(known.read_text("utf-8")))
    if before != asked:
        raise SimulationError(
            f"{asked.month} was drawn before as {before.scenario} (seed {before.seed}, {before.applicants} applicants);"
            " give --overwrite to replace it"
        )
    return True


def _scores(settings: Settings, month: str) -> Path:
    return settings.month_files / f"{month}.scores.parquet"


def _score(month: Month, settings: Settings, public_key: bytes, log: DecisionLog, progress: Progress) -> Outcome:
    """Score a month from its raw tables, which are not kept but for the applications."""
    with _raw_tables(month, settings) as directory:
        asked = Batch(directory, _scores(settings, month.name), overwrite=True, with_features=True)
        outcome = score_batch(asked, settings, lambda: load_champion(settings, public_key), log, progress)
        (directory / "application.parquet").replace(settings.month_files / f"{month.name}.applications.parquet")
    return outcome


@contextmanager
def _raw_tables(month: Month, settings: Settings) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=settings.simulation) as name:
        for table, columns in month.tables.items():
            pq.write_table(arrow_table(columns), Path(name) / f"{table}.parquet", compression="zstd")
        yield Path(name)


def _keep_truth(month: Month, settings: Settings) -> None:
    """Keep what becomes of those who were granted the loan: of the refused, nobody ever learns it."""
    scores = pd.read_parquet(_scores(settings, month.name), columns=["sk_id_curr", "decision"])
    granted = scores.loc[scores["decision"] != REFUSED, "sk_id_curr"]
    truth = pd.DataFrame({"SK_ID_CURR": month.ids, "OUTCOME": month.outcome.astype("int32"), "after": month.observed})
    truth = truth[truth["SK_ID_CURR"].isin(granted)]
    number = month_number(month.name)
    truth["OBSERVED_MONTH"] = [month_name(number + after) for after in truth["after"]]
    truth["MATURITY"] = [
        EARLY if after < MATURITY_MONTHS else MATURED if after == MATURITY_MONTHS else LATE for after in truth["after"]
    ]
    truth.insert(1, "APPLICATION_MONTH", month.name)
    truth.drop(columns="after").to_parquet(settings.simulation / f"{month.name}.parquet", index=False)


def _tell_outcomes(settings: Settings) -> dict[str, int]:
    """Write the outcomes of every month that was revealed; return how many are known by the end of each."""
    months = simulated_months(settings)
    truth = pd.concat([pd.read_parquet(settings.simulation / f"{month}.parquet") for month in months])
    for month in months:
        seen = truth[truth["OBSERVED_MONTH"] == month].sort_values("SK_ID_CURR")
        target = settings.month_files / f"{month}.outcomes.parquet"
        if target.exists() and pd.read_parquet(target).equals(seen.reset_index(drop=True)):
            continue  # a file that says the same stays the same version
        draft = target.with_name(f".{target.name}")
        seen.to_parquet(draft, index=False)
        draft.replace(target)
    return {month: int((truth["OBSERVED_MONTH"] <= month).sum()) for month in months}


def simulated_months(settings: Settings) -> Sequence[str]:
    """List the months that were revealed, in order."""
    return sorted(path.stem for path in settings.simulation.glob("20*.json"))
