"""Reasons on the materialized graph: the asset's claims hold of its model."""

import json

import pytest

from creditrisk_assets.defs.reasons import FILE, REASONS
from creditrisk_assets.defs.training import BUNDLE, MODEL
from creditrisk_assets.modelling.bundle import Bundle, read_public_key
from creditrisk_assets_tests.integration.conftest import Graph


@pytest.fixture(scope="module")
def bundle(graph: Graph) -> Bundle:
    return Bundle.load(graph.lake.require(MODEL).path / BUNDLE, read_public_key(graph.settings.keys))


def test_the_asset_says_what_it_looked_at_and_exports_it(graph: Graph, bundle: Bundle) -> None:
    version = graph.lake.require(REASONS)
    facts = version.manifest.metadata["facts"]
    assert facts["model_version"] == bundle.version
    assert json.loads((graph.settings.reports / FILE).read_text()) == json.loads((version.path / FILE).read_text())
    checks = {check["name"]: check for check in version.manifest.metadata["checks"]}
    assert len(checks) == 6
    assert all(check["passed"] for check in checks.values())
