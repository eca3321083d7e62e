"""A month of the decision log as a feed of monitoring: what was decided, and what the decisions saw.

What belongs here: which decision of an applicant counts, opening records, writing the month's files. What does not: reading the files
(`creditrisk_assets.defs.months`), the log as it is kept (`daily`). The running service does not import this module.

Of an applicant who was decided on several times the month's last decision counts. An erased applicant is left out: nothing is known.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from creditrisk_assets.features.statement import KEY
from creditrisk_assets.modelling.bundle import Bundle
from creditrisk_assets.modelling.explanation.principal import MOST
from creditrisk_serving.decisions import inputs, sealing
from creditrisk_serving.decisions.database import Database, DecisionLogError

DECISIONS, FEATURES = "decisions", "decisions.features"  # `ingestion.months.SERVICE`, which imports Pandera
INPUTS = "decisions.inputs"  # `ingestion.months.SENT`
SAMPLED = 500  # decisions whose raw rows are written
DAYS_A_YEAR = 365.25
COLUMNS = pa.schema(
    [
        pa.field(KEY, pa.int64(), nullable=False),
        *(pa.field("pd", pa.float64()), pa.field("decision", pa.string()), pa.field("band", pa.string())),
        *(pa.field("rule", pa.string()), pa.field("points", pa.int64())),
        *(pa.field(f"reason_{place}", pa.string()) for place in range(1, MOST + 1)),
        *(pa.field("model_version", pa.string()), pa.field("policy_version", pa.string())),
        *(pa.field("gender", pa.string()), pa.field("age_years", pa.float64()), pa.field("decided_at", pa.string())),
    ]
)
RAW = pa.schema([pa.field(KEY, pa.int64()), pa.field("application", pa.string()), pa.field("histories", pa.string())])
KINDS = {"numeric": pa.float64(), "boolean": pa.bool_(), "category": pa.string()}


@dataclass(frozen=True)
class Exported:
    """What a month came to."""

    month: str
    decisions: int
    applicants: int  # of whom a decision was written
    erased: int
    other_models: int  # decided by another model than most: written without what they saw
    sampled: int  # whose raw rows were written, so that their features can be computed again


def write_month(
    database: Database, month: str, folder: Path, load: Callable[[str], Bundle], *, progress: Callable[[int], None]
) -> Exported:
    """Write the decisions of a month, what those of the model that decided most of them saw, and what a sample of these was sent.

    Parameters
    ----------
    database
        The log.
    month
        As 2026-05, in UTC.
    folder
        Gets `MONTH.decisions.parquet`, `….decisions.features.parquet` and `….decisions.inputs.parquet`, all or none.
    load
        Model version -> its bundle.
    progress
        Told how many decisions were written.

    Raises
    ------
    DecisionLogError
        The month has no decision, or the log lacks what names the inputs of one.
    """
    last: dict[int, tuple[str, str]] = {}
    count = 0
    for row in _rows(database, month):
        count += 1
        last[row["applicant_id"]] = (row["decision_id"], row["model_version"])
    if not last:
        raise DecisionLogError(
            f"the decision log has no decision of {month}; name a month in which the service decided"
        )
    chosen = {decision for decision, _ in last.values()}
    models = Counter(version for _, version in last.values())
    main = min(models, key=lambda version: (-models[version], version))
    bundles = {version: load(version) for version in models}
    saw = pa.schema([pa.field(KEY, pa.int64()), *(pa.field(f.name, KINDS[f.kind]) for f in bundles[main].features)])
    drafts = {name: folder / f".{month}.{name}.parquet" for name in (DECISIONS, FEATURES, INPUTS)}
    layouts: dict[str, bytes] = {}
    sample: list[tuple[str, dict[str, Any]]] = []  # of those who sent raw rows, by the hash of the decision's id
    written = erased = 0
    with ExitStack() as stack:
        for draft in drafts.values():
            stack.callback(draft.unlink, missing_ok=True)
        decisions, features = (
            stack.enter_context(pq.ParquetWriter(drafts[name], schema, compression="zstd"))
            for name, schema in ((DECISIONS, COLUMNS), (FEATURES, saw))
        )
        for page in _pages(database, month, chosen):
            known = [row for row in page if row["features"] != "null"]
            erased += len(page) - len(known)
            written += len(known)
            decisions.write_table(
                pa.Table.from_pylist([_decided(row, bundles[row["model_version"]]) for row in known], schema=COLUMNS)
            )
            mine = [row for row in known if row["model_version"] == main]
            features.write_table(pa.Table.from_pylist([_seen(database, row, layouts) for row in mine], schema=saw))
            sample = sorted([*sample, *_sent(mine)], key=itemgetter(0))[:SAMPLED]
            progress(written)
        decisions.close()
        features.close()
        raw = sorted((row for _, row in sample), key=itemgetter(KEY))
        pq.write_table(pa.Table.from_pylist(raw, schema=RAW), drafts[INPUTS], compression="zstd")
        for name, draft in drafts.items():
            draft.replace(folder / f"{month}.{name}.parquet")
    return Exported(month, count, written, erased, sum(models.values()) - models[main], len(sample))


def _rows(database: Database, month: str) -> Iterator[Mapping[str, Any]]:
    for day in database.days():
        if day.startswith(f"{month}-"):
            for page in database.decisions(day):
                yield from page


def _pages(database: Database, month: str, chosen: set[str]) -> Iterator[list[dict[str, Any]]]:
    for day in database.days():
        if day.startswith(f"{month}-"):
            for page in database.decisions(day):
                with database.begin() as connection:
                    yield [sealing.opened(connection, row) for row in page if row["decision_id"] in chosen]


def _decided(row: Mapping[str, Any], bundle: Bundle) -> dict[str, Any]:
    reasons = [reason["code"] for reason in json.loads(row["reasons"] or "null") or ()]
    application = (json.loads(row["input"]) or {}).get("application") or {}
    born, gender = application.get("DAYS_BIRTH"), application.get("CODE_GENDER")
    return {
        **{name: row[name] for name in COLUMNS.names if name in row},
        KEY: row["applicant_id"],
        "points": bundle.policy.score.points(row["pd"]),
        **{f"reason_{place}": code for place, code in enumerate(reasons[:MOST], 1)},
        "gender": None if gender == "XNA" else gender,
        "age_years": None if born is None else round(-born / DAYS_A_YEAR, 2),
    }


def _sent(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for row in rows:
        sent = json.loads(row["input"])
        if sent["application"] is not None or sent["histories"]:
            told = {name: json.dumps(sent[name]) for name in ("application", "histories")}
            yield hashlib.sha256(row["decision_id"].encode()).hexdigest(), {KEY: row["applicant_id"], **told}


def _seen(database: Database, row: Mapping[str, Any], layouts: dict[str, bytes]) -> dict[str, Any]:
    packed = msgspec.json.decode(row["features"])
    layout = str(packed["layout"])
    if layout not in layouts:
        if (content := database.layout(layout)) is None:
            raise DecisionLogError(
                f"the decision log lacks the layout {layout} that names inputs of decision {row['decision_id']};"
                " restore its table `layouts`"
            )
        layouts[layout] = content
    return {KEY: row["applicant_id"], **inputs.named(packed, layouts[layout])}
