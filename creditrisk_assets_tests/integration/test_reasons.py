"""Reasons on the materialized graph: the asset's claims hold, and a cause that was planted is the one that is told."""

import json

import numpy as np
import pytest

from creditrisk_assets.defs.reasons import FILE, REASONS
from creditrisk_assets.defs.training import BUNDLE, MODEL, REFERENCE_APPLICANTS
from creditrisk_assets.features.request import RequestFeatures
from creditrisk_assets.modelling.bundle import Bundle, read_public_key
from creditrisk_assets_tests.integration.conftest import Graph

APPLICANT, DAYS_LATE = 900_001, 75
FAMILY = "installments"


@pytest.fixture(scope="module")
def bundle(graph: Graph) -> Bundle:
    return Bundle.load(graph.lake.require(MODEL).path / BUNDLE, read_public_key(graph.settings.keys))


def test_the_asset_says_what_it_looked_at_and_exports_it(graph: Graph, bundle: Bundle) -> None:
    version = graph.lake.require(REASONS)
    facts = version.manifest.metadata["facts"]
    assert facts["model_version"] == bundle.version
    assert json.loads((graph.settings.reports / FILE).read_text()) == json.loads((version.path / FILE).read_text())
    checks = {check["name"]: check for check in version.manifest.metadata["checks"]}
    assert len(checks) == 5
    assert all(check["passed"] for check in checks.values())


def terrible_payments() -> list[dict[str, object]]:
    """Give three loans of which every instalment was paid late and short."""
    return [
        {
            "SK_ID_PREV": 990_000 + loan,
            "SK_ID_CURR": APPLICANT,
            "NUM_INSTALMENT_VERSION": 1.0,
            "NUM_INSTALMENT_NUMBER": number,
            "DAYS_INSTALMENT": float(due),
            "DAYS_ENTRY_PAYMENT": float(due + DAYS_LATE),
            "AMT_INSTALMENT": 9000.0,
            "AMT_PAYMENT": 3000.0,
        }
        for loan in range(3)
        for number, due in enumerate(range(-1000 + 200 * loan, -80, 30), 1)
    ]


def test_a_planted_cause_is_among_the_reasons_told(graph: Graph, bundle: Bundle) -> None:
    assert bundle.explainer is not None
    assert bundle.reasons is not None
    found = RequestFeatures(bundle.plan).families(
        [{"SK_ID_CURR": APPLICANT}], {"installments_payments": terrible_payments()}
    )
    planted = dict(
        zip([name for name, _ in bundle.plan["families"][FAMILY]["columns"]], found[FAMILY][APPLICANT], strict=True)
    )
    approved = np.load(graph.lake.require(MODEL).path / REFERENCE_APPLICANTS)[:20]
    before, changed = bundle.score_float32(approved), approved.copy()
    for place, name in enumerate(bundle.feature_names):
        if name in planted:
            changed[:, place] = np.nan if planted[name] is None else planted[name]
    after = bundle.score_float32(changed)
    assert (after > before).mean() > 0.9
    for row in changed[after > before]:
        told = bundle.reasons.principal(bundle.explainer.contributions(row), row, bundle.categories)
        assert any(one.code.startswith("INS-") for one in told), [one.text for one in told]
