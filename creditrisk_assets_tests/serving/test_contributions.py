"""What raised a PD: the largest contributions, and none that do not add up."""

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from creditrisk_assets.modelling.bundle import Bundle
from creditrisk_assets.modelling.signing import public_bytes, signing_key
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_serving.scoring.contributions import adverse_contributions


@pytest.fixture(scope="module")
def bundle(template: Published) -> Bundle:
    return Bundle.load(template.home / "made" / "champion", public_bytes(signing_key(template.home / "keys")))


@pytest.fixture(scope="module")
def rows(template: Published, bundle: Bundle) -> list[bytes]:
    table = pq.read_table(template.joined, columns=list(bundle.feature_names)).slice(0, 20)
    matrix = bundle.encode({name: table.column(name).to_pylist() for name in bundle.feature_names})
    return [row.tobytes() for row in matrix.astype(np.float32)]


def test_the_largest_that_raise_the_pd_are_named(bundle: Bundle, rows: list[bytes]) -> None:
    assert bundle.explainer is not None
    for row, found in zip(rows, adverse_contributions(bundle, rows, most=4), strict=True):
        assert found is not None
        every = bundle.explainer.contributions(row)
        names, values = zip(*found.contributions, strict=True)
        assert values == tuple(np.sort(every[every > 0])[::-1][:4])
        assert values == tuple(every[bundle.feature_names.index(name)] for name in names)
        assert found.base == bundle.explainer.base


def test_all_of_them_account_for_the_whole_margin(bundle: Bundle, rows: list[bytes]) -> None:
    assert bundle.explainer is not None
    margins = bundle.booster.margins_of_packed(rows)
    for row, margin, found in zip(rows, margins, adverse_contributions(bundle, rows, most=10_000), strict=True):
        assert found is not None
        lowering = np.minimum(bundle.explainer.contributions(row), 0).sum()
        assert found.base + sum(value for _, value in found.contributions) + lowering == pytest.approx(margin, abs=1e-6)


def test_nothing_is_said_where_contributions_do_not_add_up(bundle: Bundle, rows: list[bytes]) -> None:
    assert bundle.explainer is not None
    broken = replace(bundle, explainer=replace(bundle.explainer, base=bundle.explainer.base + 1e-3))
    assert adverse_contributions(broken, rows) == [None] * len(rows)


def test_a_bundle_without_an_explainer_says_nothing(bundle: Bundle, rows: list[bytes]) -> None:
    assert adverse_contributions(replace(bundle, explainer=None), rows) == [None] * len(rows)
    assert adverse_contributions(bundle, []) == []
