"""What MLflow keeps of the decisions made with a model: one run for each day and version.

What belongs here: counting the decisions of daily files, logging the figures. What does not: what a model was trained with
(`tracking`), what the figures should be (monitoring).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import duckdb

from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.registry.tracking import quiet

DAY, MODEL_VERSION, DECISIONS = "day", "model_version", "decisions"


_FIGURES = """
select model_version, count(*) as decisions, count(distinct applicant_id) as applicants, count(distinct request_id) as requests,
    avg((decision = 'approve')::int) as approval_rate, avg((decision = 'refer')::int) as referral_rate,
    avg((decision = 'decline')::int) as decline_rate, avg((rule is not null)::int) as hard_rule_share,
    avg(pd) as pd_mean, quantile_cont(pd, 0.5) as pd_p50, quantile_cont(pd, 0.9) as pd_p90
from {files} group by all order by all
"""
_BANDS = "select model_version, band, count(*) from {files} group by all order by all"


class DayOfDecisions(NamedTuple):
    """The decisions of one day by one model version."""

    day: str
    model_version: str
    figures: Mapping[str, float]  # `decisions` among them


def days_of_decisions(files: Mapping[str, Path]) -> Sequence[DayOfDecisions]:
    """Count the decisions of each day, by model version.

    Parameters
    ----------
    files
        Day -> its Parquet file.
    """
    found = []
    with duckdb.connect() as connection:
        for day, path in sorted(files.items()):
            result = connection.execute(_FIGURES.format(files=parquet(path)))
            names = [column[0] for column in result.description][1:]
            rows = {row[0]: dict(zip(names, map(float, row[1:]), strict=True)) for row in result.fetchall()}
            for version, band, count in connection.execute(_BANDS.format(files=parquet(path))).fetchall():
                rows[version][f"band_{band}_share"] = count / rows[version]["decisions"]
            found += [DayOfDecisions(day, version, figures) for version, figures in rows.items()]
    return found


def log_days(experiment: str, days: Sequence[DayOfDecisions], artifacts: str | None = None) -> int:
    """Log days of decisions; one that is logged already with as many decisions stays as it is.

    Parameters
    ----------
    experiment
        Its name; it is made if it is not there.
    days
        What to log.
    artifacts
        Where MLflow keeps files of the experiment; None: its server knows.

    Returns
    -------
    int
        How many days were logged anew.

    Raises
    ------
    TrackingError
        MLflow did not take them.
    """
    if not days:
        return 0
    import mlflow  # noqa: PLC0415 - seconds of imports, for logging alone

    client, logged = mlflow.MlflowClient(), 0
    with quiet():
        known = client.get_experiment_by_name(experiment)
        where = known.experiment_id if known is not None else client.create_experiment(experiment, artifacts)
        for one in days:
            condition = f"tags.{DAY} = '{one.day}' and tags.{MODEL_VERSION} = '{one.model_version}'"
            found = client.search_runs([where], condition, max_results=1)
            if found and found[0].data.metrics.get(DECISIONS) == one.figures[DECISIONS]:
                continue
            tags = {DAY: one.day, MODEL_VERSION: one.model_version}
            run = found[0] if found else client.create_run(where, tags=tags, run_name=f"{one.day} {one.model_version}")
            for name, figure in one.figures.items():
                if name != DECISIONS:
                    client.log_metric(run.info.run_id, name, figure)
            client.log_metric(
                run.info.run_id, DECISIONS, one.figures[DECISIONS]
            )  # the last: what is cut short is logged again
            client.set_terminated(run.info.run_id)
            logged += 1
    return logged
