"""From embedded to production by settings alone: one body, with SQLite and files, and with PostgreSQL and S3."""

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
from sqlalchemy import create_engine, text

from creditrisk_assets.features.families import FAMILIES
from creditrisk_assets.lake import Lake
from creditrisk_assets.mirror import mirror_of
from creditrisk_assets.modelling.bundle_writer import publish_bundle
from creditrisk_assets.modelling.signing import public_bytes, signing_key
from creditrisk_assets.settings import Settings
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_assets_tests.serving.ecs_cluster import REGION, moto
from creditrisk_assets_tests.serving.portfolio import FIRST_ID
from creditrisk_assets_tests.serving.test_light import ask, serving
from creditrisk_serving.defs.online import online_store
from creditrisk_serving.online.publish import publish_families

BUCKET = "credit-risk"


@contextmanager
def embedded(_postgresql: str) -> Iterator[dict[str, str]]:
    yield {}


@contextmanager
def production(postgresql: str) -> Iterator[dict[str, str]]:
    with moto():
        boto3.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        yield {
            "CREDITRISK_OBJECT_STORE": f"s3://{BUCKET}/production",
            "CREDITRISK_ONLINE_STORE": postgresql,
            "CREDITRISK_SERVING_DECISIONS_URL": postgresql,
            "CREDITRISK_SERVING_DECISIONS_STORED": "database",
        }


@pytest.mark.parametrize("stack", [embedded, production])
def test_a_published_model_answers_and_its_decisions_are_kept(
    published: Published, tmp_path: Path, empty_postgresql: str, stack
) -> None:
    """Train there, serve here: with production settings the two machines share no disk, only the trusted key."""
    with stack(empty_postgresql) as environment:
        os.environ.update(environment)
        trains = Settings(home=published.home)
        lake = Lake(trains.lake, mirror_of(trains))
        store = online_store(trains)
        publish_families(store, {name: lake.require(f"features/{name}") for name in FAMILIES})
        store.close()
        public = public_bytes(signing_key(trains.keys))
        publish_bundle(published.home / "made" / "champion", trains.bundles, public, mirror_of(trains))
        serves = published.home
        if environment:
            serves = tmp_path / "another-machine"
            (serves / "keys").mkdir(parents=True)
            shutil.copyfile(trains.keys / "bundle_signing.pub", serves / "keys" / "bundle_signing.pub")
        with serving(serves) as (_, port, said):
            (key,) = re.findall(r"crk_\S+", said)
            status, body = ask(port, "POST", "/predict", key, json.dumps({"applicant_ids": [FIRST_ID]}))
            assert status == 200, body
            answer = json.loads(body)
            assert answer["model_version"] == published.champion
            decision = answer["decisions"][0]
            assert decision["families"]["bureau"] == "present"
            assert ask(port, "GET", f"/decisions/{decision['decision_id']}", key)[0] == 200
            publish_bundle(published.challenger_bundle, trains.bundles, public, mirror_of(trains))
            while json.loads(ask(port, "GET", "/ready")[1])["model_version"] != published.challenger:
                time.sleep(0.2)
        if environment:
            engine = create_engine(empty_postgresql)
            with engine.connect() as connection:
                assert connection.execute(text("select decision_id from decisions")).scalars().all() == [
                    decision["decision_id"]
                ]
            engine.dispose()
            assert not (serves / "decisions.db").exists()
