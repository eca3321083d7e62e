"""A tiny portfolio that holds the contracts, and a home directory with everything the service needs made from it by the real writers.

What belongs here: rows drawn from the contracts, published features, signed bundles. What does not: what is asserted about them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import lightgbm
import numpy as np

from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.contracts.table import ColumnSpec
from creditrisk_assets.features.engine import build_family
from creditrisk_assets.features.families import FAMILIES, PRESENCE, applicant_features
from creditrisk_assets.features.files import join_applicant
from creditrisk_assets.features.plan import render_plan
from creditrisk_assets.lake import Lake
from creditrisk_assets.modelling.bundle import Bundle, BundleFeature, Encoder
from creditrisk_assets.modelling.bundle_writer import BundleContent, golden_rows, publish_bundle, write_bundle
from creditrisk_assets.modelling.calibration import Calibrator
from creditrisk_assets.modelling.explanation.compile import compile_explainer
from creditrisk_assets.modelling.explanation.reasons import catalogue, compared
from creditrisk_assets.modelling.policy import load_policy
from creditrisk_assets.modelling.reference import reference_of
from creditrisk_assets.modelling.signing import public_bytes, signing_key
from creditrisk_serving.online.publish import publish_families
from creditrisk_serving.online.store import OnlineStore, Snapshot

APPLICANTS = 80
FIRST_ID = 100_001
HISTORIES = tuple(table for table in SOURCES if not table.startswith("application"))
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Portfolio:
    """Raw rows by table; `application` has no label."""

    tables: Mapping[str, Rows]

    def application(self, applicant: int) -> dict[str, Any]:
        return next(row for row in self.tables["application"] if row["SK_ID_CURR"] == applicant)

    def histories(self, applicant: int) -> dict[str, Rows]:
        bureau = {row["SK_ID_BUREAU"] for row in self.tables["bureau"] if row["SK_ID_CURR"] == applicant}
        return {
            table: [
                row
                for row in self.tables[table]
                if row.get("SK_ID_CURR") == applicant or ("SK_ID_CURR" not in row and row["SK_ID_BUREAU"] in bureau)
            ]
            for table in HISTORIES
        }

    @property
    def applicants(self) -> list[int]:
        return [row["SK_ID_CURR"] for row in self.tables["application"]]


def draw_portfolio(seed: int = 7) -> Portfolio:
    """Draw rows within the contracts' bounds; every fourth applicant has no history at all."""
    random = np.random.default_rng(seed)
    tables: dict[str, Rows] = {table: [] for table in HISTORIES}
    applications = []
    for applicant in range(FIRST_ID, FIRST_ID + APPLICANTS):
        applications.append(_draw(random, "application_test", SK_ID_CURR=applicant))
        if applicant % 4:
            _draw_histories(random, tables, applicant)
    return Portfolio({"application": applications, **tables})


def _draw_histories(random: np.random.Generator, tables: dict[str, Rows], applicant: int) -> None:
    for place in range(int(random.integers(1, 4))):
        credit, previous = applicant * 10 + place, applicant * 100 + place
        tables["bureau"].append(_draw(random, "bureau", SK_ID_CURR=applicant, SK_ID_BUREAU=credit))
        tables["previous_application"].append(
            _draw(random, "previous_application", SK_ID_CURR=applicant, SK_ID_PREV=previous)
        )
        for month in range(1, 4):
            ids = {"SK_ID_CURR": applicant, "SK_ID_PREV": previous, "MONTHS_BALANCE": -month}
            tables["bureau_balance"].append(_draw(random, "bureau_balance", SK_ID_BUREAU=credit, MONTHS_BALANCE=-month))
            tables["pos_cash_balance"].append(_draw(random, "pos_cash_balance", **ids))
            tables["credit_card_balance"].append(_draw(random, "credit_card_balance", **ids))
            tables["installments_payments"].append(
                _draw(random, "installments_payments", SK_ID_CURR=applicant, SK_ID_PREV=previous)
            )


def _draw(random: np.random.Generator, table: str, **given: Any) -> dict[str, Any]:
    return {c.name: given.get(c.name, _value(random, c)) for c in SOURCES[table].columns}


def _value(random: np.random.Generator, column: ColumnSpec) -> Any:
    if column.nullable and random.random() < 0.2:
        return None
    if choices := column.categories or column.known_categories:
        return choices[int(random.integers(len(choices)))]
    if column.type == "str":
        return "XNA"
    low = max(-3000.0, column.minimum if column.minimum is not None else -3000.0)
    high = max(low, min(3000.0, column.maximum if column.maximum is not None else 3000.0))
    if column.name == "DAYS_BIRTH":
        low, high = -20_000.0, -8_000.0
    if column.type == "int":
        return int(random.integers(int(low), int(high) + 1))
    return round(float(random.uniform(low, high)), 3)


def write_raw(portfolio: Portfolio, directory: Path) -> dict[str, Path]:
    """Write the raw tables as typed Parquet."""
    paths: dict[str, Path] = {}
    with duckdb.connect() as connection:
        for table, rows in portfolio.tables.items():
            name = "application_test" if table == "application" else table
            lines, paths[name] = directory / f"{name}.json", directory / f"{name}.parquet"
            lines.write_text("\n".join(map(json.dumps, rows)))
            types = json.dumps({c.name: c.sql_type for c in SOURCES[name].columns}).replace("'", "''").replace('"', "'")
            connection.execute(
                f"copy (select * from read_json('{lines}', format = 'newline_delimited', columns = {types}))"
                f" to '{paths[name]}' (format parquet)"
            )
    return paths


def publish_features(lake: Lake, raw: Mapping[str, Path]) -> Path:
    """Build and publish every family and the joined table; return the joined table."""
    paths: dict[str, Path] = {}
    with duckdb.connect() as connection:
        for name, family in FAMILIES.items():
            with lake.draft(f"features/{name}") as draft:
                build_family(connection, family, raw, draft.data)
                facts = {"definition": family.definition}
                paths[name] = lake.publish(draft, code_version="test", inputs={}, metadata={"facts": facts}).data
        with lake.draft("features/applicant") as draft:
            join_applicant(paths, draft.data)
            return lake.publish(draft, code_version="test", inputs={}).data


def publish_online(home: Path) -> Snapshot:
    """Put the families published in a home's lake into its online store."""
    lake = Lake(home / "lake")
    store = OnlineStore(home / "online")
    try:
        return publish_families(store, {name: lake.require(f"features/{name}") for name in FAMILIES})
    finally:
        store.close()


def train_bundle(
    applicant: Path,
    home: Path,
    out: Path,
    *,
    seed: int = 1,
    metrics: Mapping[str, Any] | None = None,
    plan: Mapping[str, Any] | None = None,
) -> Bundle:
    """Train a small model on the joined table and write it as a signed bundle."""
    with duckdb.connect() as connection:
        cursor = connection.execute(f"select * from read_parquet('{applicant}')")
        names = [column[0] for column in cursor.description]
        columns = dict(zip(names, map(list, zip(*cursor.fetchall(), strict=True)), strict=True))
    features = tuple(
        BundleFeature(
            spec.name,
            spec.family,
            spec.kind,
            tuple(sorted({v for v in columns[spec.name] if v is not None})) if spec.kind == "category" else None,
        )
        for place, spec in enumerate(applicant_features())
        if place % 3 == 0 or spec.name in PRESENCE
    )
    encoder = Encoder(features)
    matrix = encoder.encode(columns)
    label = (np.random.default_rng(seed).random(len(matrix)) < 0.4).astype(float)
    booster = lightgbm.train(
        {
            "objective": "binary",
            "num_leaves": 4,
            "min_data_in_leaf": 3,
            "feature_fraction": 0.5,
            "learning_rate": 0.3,
            "num_threads": 1,
            "seed": seed,
            "verbosity": -1,
        },
        lightgbm.Dataset(matrix, label, params={"verbosity": -1}),
        num_boost_round=40,
    )
    # A map that is none of the margins' sigmoid: what forgets to apply it is found out.
    calibrator = Calibrator("beta", 0.9, 1.1, -0.3)

    def pds(rows: Mapping[str, Any]) -> np.ndarray:
        return calibrator.pds(booster.predict(encoder.encode(rows), raw_score=True, num_threads=1))

    golden = golden_rows(features, columns, pds)
    content = BundleContent(
        name="credit-risk-pd",
        model_text=booster.model_to_string(),
        features=features,
        plan=plan or render_plan(),
        policy=load_policy(),
        calibrator=calibrator,
        metrics={"auc": 0.5, "synthetic": True} if metrics is None else metrics,
        golden=golden,
        reference=reference_of({feature.name: feature.kind for feature in features}, columns, None),
        inputs={"features/applicant": "test"},
        code_version="test",
        explainer=compile_explainer(booster.model_to_string(), matrix.astype(np.float32)),
        reference_applicants={"applicants": len(matrix)},
        reasons=compared(catalogue([feature.name for feature in features]), matrix.astype(np.float32), {}),
    )
    return write_bundle(out, content, signing_key(home / "keys"))


def publish(bundle: Path, home: Path) -> None:
    """Publish a written bundle."""
    publish_bundle(bundle, home / "bundles", public_bytes(signing_key(home / "keys")))
