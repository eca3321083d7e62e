"""A cause planted in raw rows is named by the champion's reasons; the same done to columns the model does not use names nothing."""

import numpy as np
import pytest

from creditrisk_assets.defs.training import BUNDLE, MODEL
from creditrisk_assets.features.lineage import applicant_lineage
from creditrisk_assets.modelling.bundle import Bundle, read_public_key
from creditrisk_assets_tests.integration.conftest import Graph
from creditrisk_assets_tests.integration.planting import CAUSES, CONTROL, Planting


@pytest.fixture(scope="module")
def bundle(graph: Graph) -> Bundle:
    return Bundle.load(graph.lake.require(MODEL).path / BUNDLE, read_public_key(graph.settings.keys))


@pytest.fixture(scope="module")
def planting(graph: Graph, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Planting:
    found = Planting(graph.lake, bundle, tmp_path_factory.mktemp("planting"))
    assert len(found.ids) > 100
    return found


def test_bad_scores_of_agencies_are_the_first_reason_of_everybody(planting: Planting) -> None:
    scores = next(cause for cause in CAUSES if cause.groups == ("application__external_scores",))
    found = planting.named(scores)
    assert (found.first, found.within_four, found.rose_most) == (1.0, 1.0, 1.0)
    assert found.within_four_before < 0.6  # it was not said of them anyway


@pytest.mark.parametrize("table", ["installments_payments", "previous_application"])
def test_a_bad_history_is_what_grew_and_is_told_more_often(planting: Planting, table: str) -> None:
    cause = next(cause for cause in CAUSES if cause.table == table)
    found = planting.named(cause)
    assert found.mean_rise > 0
    assert found.rose_most > 0.6  # of hundreds of groups
    assert found.within_four > found.within_four_before + 0.1


def test_what_the_model_does_not_use_changes_no_reason_by_a_bit(planting: Planting, bundle: Bundle) -> None:
    lineage = applicant_lineage()
    used = {column for name in bundle.feature_names for column in lineage[name]}
    changed = ("CODE_GENDER", "DAYS_BIRTH", "NAME_FAMILY_STATUS")
    assert not {(CONTROL.table, name) for name in changed} & used
    after = planting.after(CONTROL)
    assert np.array_equal(after.sums, planting.before.sums)
    assert after.told == planting.before.told
