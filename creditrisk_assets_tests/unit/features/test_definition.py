"""A feature's definition is read off the grid and the SQL as they are."""

import pytest
import sqlglot
from sqlglot import exp

from creditrisk_assets.contracts.features import GRIDS
from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.features.definition import Expression, expressions, place
from creditrisk_assets.features.families import FAMILIES, FeatureSpec, applicant_features
from creditrisk_assets.features.lineage import IDENTIFIERS, lineage

FEATURES = {feature.name: feature for feature in applicant_features()}
SOME = [family.features[-1] for family in FAMILIES.values()] + [family.features[0] for family in FAMILIES.values()]


def test_a_ratio_of_two_windows_has_both_and_the_aggregate_they_share() -> None:
    where = place(FEATURES["installments__late_share_ratio_90d_365d"])
    assert where is not None
    assert (where.quantity, where.rows, where.condition) == ("Late instalments per settled one", "behaviour", "")
    assert where.windows == ("due_days <= 90", "due_days <= 365")
    assert "count(case when late_days > 0 then 1 end)" in where.aggregate
    assert "over the rows of `behaviour`, window due_days <= 90 against due_days <= 365" in where.words


def test_a_part_of_the_rows_is_named_in_words_and_in_sql() -> None:
    where = place(FEATURES["bureau__active_credits_count"])
    assert where is not None
    assert (where.part, where.condition, where.windows) == ("active ones only", "state = 1", ("",))
    assert where.words.endswith("over the rows of `credits` where state = 1, window all")


def test_every_cell_of_every_grid_is_placed_in_it_and_no_other_feature_is() -> None:
    in_a_grid = {cell.name for grid in GRIDS.values() for cell in grid.cells()}
    for feature in [*SOME, FEATURES["applicant__has_bureau"], FEATURES["application__education_category"]]:
        assert (place(feature) is not None) == (feature.name in in_a_grid), feature.name


def test_the_way_to_the_raw_columns_is_told_step_by_step_across_subqueries_and_equal_names() -> None:
    steps = expressions(FEATURES["bureau__last_default_months_min"])
    assert [(step.relation, step.column) for step in steps] == [
        ("", "bureau__last_default_months_min"),
        ("statuses", "default_newest_min"),
        ("statuses_buckets", "default_newest_min"),
        ("monthly", "level"),
        ("stretches", "newest"),
        ("statuses", "state"),  # the subquery of this name, not the CTE; and `state` of no other CTE
        ("statuses", "months_before"),
    ]
    assert steps[-1].sql == "-months_balance"
    assert "CASE status WHEN 'C' THEN 6" in steps[-2].sql


def test_a_raw_column_taken_over_as_it_is_has_one_step() -> None:
    steps = expressions(FEATURES["application__education_category"])
    assert [(step.relation, step.sql.rpartition(".")[2]) for step in steps] == [("", "name_education_type")]


def test_a_raw_column_taken_over_under_another_name_is_a_step() -> None:
    last = expressions(FEATURES["previous_application__contract_type_category_last"])[-1]
    assert last.sql.rpartition(".")[2] == "name_contract_type"


def test_a_flag_of_the_join_is_told_too() -> None:
    flag = FEATURES["applicant__has_bureau"]
    assert expressions(flag) == (Expression("", flag.name, "bureau.sk_id_curr IS NOT NULL"),)


@pytest.mark.parametrize("feature", SOME, ids=lambda feature: feature.name)
def test_raw_columns_on_the_way_are_origins_by_lineage(feature: FeatureSpec) -> None:
    family = FAMILIES[feature.family]
    raw = {column.name.lower() for table in family.inputs for column in SOURCES[table].columns}
    origins = {column.lower() for _, column in lineage(family)[feature.name]}
    steps = expressions(feature)
    made = {step.column for step in steps}
    read = {
        column.name
        for step in steps
        for column in sqlglot.parse_one(step.sql, read="duckdb").find_all(exp.Column)
        if column.name not in made
    }
    assert read & raw or "COUNT(*)" in {step.sql for step in steps}
    assert (read & raw) - IDENTIFIERS <= origins
