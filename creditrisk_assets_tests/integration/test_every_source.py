"""All raw tables from each connector's real counterpart, and a second run that downloads nothing."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from creditrisk_assets import running
from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.ingestion.sources import remember_source
from creditrisk_assets.lake import Lake
from creditrisk_assets.settings import Settings
from creditrisk_assets_tests.unit.ingestion.connectors import counterpart_http, counterpart_s3, kaggle_server
from creditrisk_assets_tests.unit.ingestion.connectors.counterparts import kinds, serve

INGESTION = 'group:"ingestion"'
LOOK_BYTES = 40_000  # what describing one file may cost: answers and headers, no table


def source_of(kind: str, place: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the connection as a sources file says it, and the environment that holds the credentials."""
    environment: dict[str, str] = {}
    if kind == "local":
        return {"kind": "local", "directory": str(place.directory)}, environment
    if kind == "sample":
        return {"kind": "sample", "scale": 0.004, "seed": 7}, environment
    if kind == "http":
        environment = {
            "CREDITRISK_HTTP_TOKENS": json.dumps({urlsplit(place.server.url).netloc: counterpart_http.TOKEN})
        }
        return {"kind": "http", "base_url": f"{place.server.url}{place.root}"}, environment
    if kind == "s3":
        environment = {"AWS_ACCESS_KEY_ID": counterpart_s3.KEY, "AWS_SECRET_ACCESS_KEY": counterpart_s3.SECRET}
    if kind == "azure":
        from creditrisk_assets_tests.unit.ingestion.connectors.counterpart_azure import connection_string

        environment = {"CREDITRISK_AZURE_CONNECTION_STRING": connection_string(place.proxy.port)}
    if kind.startswith("kaggle"):
        environment = {"KAGGLE_API_TOKEN": kaggle_server.TOKEN, "HOME": str(place.home)}
    connection = place.connection() if callable(place.connection) else place.connection
    return connection.model_dump(mode="json", exclude_none=True), environment


@pytest.mark.parametrize("kind", kinds())
def test_all_tables_come_from_each_source_and_a_second_run_downloads_nothing(
    kind: str, portfolio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(kind, tmp_path) as empty_place:
        place = empty_place()
        if kind != "sample":
            for contract in SOURCES.values():
                name = f"{contract.stem}.csv"
                place.put(name, (portfolio / name).read_bytes())
        connection, environment = source_of(kind, place)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        file = tmp_path / "sources.yaml"
        file.write_text(yaml.safe_dump({"name": f"the-{kind}", "connection": connection}))
        settings = Settings()
        remember_source(settings, file)
        first = running.materialize(settings, INGESTION)
        assert first.failures == []
        assert {asset.key for asset in first.assets} == {f"raw/{table}" for table in SOURCES}
        served = place.bytes_served()
        versions = {table: Lake(settings.lake).require(f"raw/{table}").version for table in SOURCES}
        second = running.materialize(settings, INGESTION)
        assert {(asset.outcome, asset.reason) for asset in second.assets} == {("reused", "unchanged")}
        assert versions == {table: Lake(settings.lake).require(f"raw/{table}").version for table in SOURCES}
        if served is not None:
            assert place.bytes_served() - served < LOOK_BYTES * len(SOURCES)
