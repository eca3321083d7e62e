"""What the service decided, as a month of monitoring: each applicant once, with exactly what the model saw."""

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy

from creditrisk_assets.modelling.bundle import Bundle, read_public_key
from creditrisk_assets.modelling.part_scores import score_table
from creditrisk_assets_tests.serving.client import Client
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_serving.decisions.database import DecisionLogError, reading
from creditrisk_serving.decisions.month import DECISIONS, FEATURES, Exported, write_month


def test_a_month_holds_each_applicants_last_decision_and_what_the_model_saw(
    published: Published, tmp_path: Path
) -> None:
    ids = published.portfolio.applicants[:6]
    with Client(published.home) as client:
        for asked in (ids[:4], ids[2:], ids[:1]):
            answer = client.post("/predict", {"applicant_ids": asked}).json()["decisions"]
    month = datetime.now(UTC).strftime("%Y-%m")
    key = read_public_key(published.home / "keys")
    bundles: dict[str, Bundle] = {}

    def load(version: str) -> Bundle:
        return bundles.setdefault(version, Bundle.load(published.home / "bundles" / version, key))

    with reading(f"sqlite:///{published.home / 'decisions.db'}") as database:
        with database.begin() as connection:
            connection.execute(sqlalchemy.text("delete from subject_keys where applicant_id = :id"), {"id": ids[5]})
        found = write_month(database, month, tmp_path, load, progress=lambda _: None)
        with pytest.raises(DecisionLogError, match="no decision of 1999-01"):
            write_month(database, "1999-01", tmp_path, load, progress=lambda _: None)
    assert found == Exported(month, decisions=9, applicants=5, erased=1, other_models=0)
    decided = pd.read_parquet(tmp_path / f"{month}.{DECISIONS}.parquet").set_index("sk_id_curr")
    assert sorted(decided.index) == sorted(ids[:5])
    assert decided.loc[ids[0], "pd"] == answer[0]["pd"]
    assert decided["decided_at"].idxmax() == ids[0]
    (bundle,) = bundles.values()
    scored, pds = score_table(bundle, tmp_path / f"{month}.{FEATURES}.parquet")
    assert decided.loc[scored, "pd"].tolist() == pds.tolist(), (
        "what is measured is what was decided on, to the last bit"
    )
    assert decided["points"].tolist() == [bundle.policy.score.points(each) for each in decided["pd"]]
