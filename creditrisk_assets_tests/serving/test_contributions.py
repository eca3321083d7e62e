"""What raised a PD: the largest contributions, and none that do not add up."""

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from creditrisk_assets.modelling.bundle import Bundle, to_float32
from creditrisk_assets.modelling.signing import public_bytes, signing_key
from creditrisk_assets_tests.serving.client import Client
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_serving.scoring.contributions import adverse_contributions


@pytest.fixture(scope="module")
def bundle(template: Published) -> Bundle:
    return Bundle.load(template.home / "made" / "champion", public_bytes(signing_key(template.home / "keys")))


@pytest.fixture(scope="module")
def rows(template: Published, bundle: Bundle) -> NDArray[np.float32]:
    table = pq.read_table(template.joined, columns=list(bundle.feature_names)).slice(0, 20)
    matrix = bundle.encode({name: table.column(name).to_pylist() for name in bundle.feature_names})
    return to_float32(matrix)


@pytest.fixture(scope="module")
def margins(bundle: Bundle, rows: NDArray[np.float32]) -> list[float]:
    return list(bundle.booster.margins(rows).tolist())


def test_the_largest_that_raise_the_pd_are_named(
    bundle: Bundle, rows: NDArray[np.float32], margins: list[float]
) -> None:
    assert bundle.explainer is not None
    for row, found in zip(rows, adverse_contributions(bundle, rows, margins, most=4), strict=True):
        assert found is not None
        every = bundle.explainer.contributions(row)
        names, values = zip(*found.contributions, strict=True)
        assert values == tuple(np.sort(every[every > 0])[::-1][:4])
        assert values == tuple(every[bundle.feature_names.index(name)] for name in names)
        assert found.base == bundle.explainer.base


def test_all_of_them_account_for_the_whole_margin(
    bundle: Bundle, rows: NDArray[np.float32], margins: list[float]
) -> None:
    assert bundle.explainer is not None
    for row, margin, found in zip(
        rows, margins, adverse_contributions(bundle, rows, margins, most=10_000), strict=True
    ):
        assert found is not None
        lowering = np.minimum(bundle.explainer.contributions(row), 0).sum()
        assert found.base + sum(value for _, value in found.contributions) + lowering == pytest.approx(margin, abs=1e-6)


def test_nothing_is_said_where_contributions_do_not_add_up(
    bundle: Bundle, rows: NDArray[np.float32], margins: list[float]
) -> None:
    assert bundle.explainer is not None
    broken = replace(bundle, explainer=replace(bundle.explainer, base=bundle.explainer.base + 1e-3))
    assert adverse_contributions(broken, rows, margins) == [None] * len(rows)


def test_a_bundle_without_an_explainer_says_nothing(
    bundle: Bundle, rows: NDArray[np.float32], margins: list[float]
) -> None:
    assert adverse_contributions(replace(bundle, explainer=None), rows, margins) == [None] * len(rows)
    assert adverse_contributions(bundle, [], []) == []


def test_referrals_and_declines_are_told_what_raised_their_pd_and_approvals_nothing(
    shared: Client, template: Published, bundle: Bundle
) -> None:
    decisions = shared.post("/predict", {"applicant_ids": template.portfolio.applicants}).json()["decisions"]
    by_pd = [decision for decision in decisions if decision["rule"] is None]
    assert {decision["decision"] for decision in by_pd} >= {"approve", "decline"}
    for decision in decisions:
        stored = shared.get(f"/decisions/{decision['decision_id']}").json()
        assert stored["contributions"] == decision["contributions"]
        if decision["decision"] == "approve":
            assert decision["contributions"] is None
        else:
            found = [one["contribution"] for one in decision["contributions"]]
            assert found == sorted(found, reverse=True)
            assert all(one > 0 for one in found)
            assert {one["feature"] for one in decision["contributions"]} <= set(bundle.feature_names)
    assert all(decision["contributions"] for decision in by_pd if decision["decision"] == "decline")


def test_contributions_that_do_not_add_up_are_kept_back_and_counted(published: Published) -> None:
    with Client(published.home) as client:
        champion = client.service.scoring.champion()
        explainer = champion.bundle.explainer
        assert explainer is not None
        broken = replace(champion.bundle, explainer=replace(explainer, base=explainer.base + 1e-3))
        standing = client.service.follower.standing
        client.service.follower.standing = replace(standing, champion=replace(champion, bundle=broken))
        decisions = client.post("/predict", {"applicant_ids": published.portfolio.applicants}).json()["decisions"]
        declined = [decision for decision in decisions if decision["decision"] != "approve"]
        assert declined
        assert all(decision["contributions"] is None for decision in declined)
        assert not any(one["contribution"] for decision in declined for one in decision["reasons"] or ())
        metrics = client.get("/metrics").body.decode()
        assert f"creditrisk_unexplained_total {float(len(declined))}" in metrics
