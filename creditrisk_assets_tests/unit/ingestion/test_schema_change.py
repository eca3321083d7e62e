"""A changed schema is nothing, additive or breaking, and its diff says what a person needs to know."""

import pytest

from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.ingestion.schema_change import SchemaChange, classify
from creditrisk_assets.ingestion.table_file import Schema, TableFile

BUREAU = SOURCES["bureau"]
FILE = TableFile("bureau", "s3://feeds/bureau.csv", None, "csv")  # type: ignore[arg-type] -- only named
NAMES = [spec.name for spec in BUREAU.columns]


def of_names(*names: str) -> Schema:
    return Schema(tuple((name, None) for name in names))


def of_types(**changed: str) -> Schema:
    types = {spec.name: spec.sql_type for spec in BUREAU.columns} | changed
    return Schema(tuple(types.items()))


def renamed(old: str, new: str) -> Schema:
    return of_names(*(new if name == old else name for name in NAMES))


def judged(change: SchemaChange) -> tuple[str, tuple[str, ...]]:
    return change.kind, change.lines


@pytest.mark.parametrize("previous", [None, of_names(*NAMES), of_types()])
@pytest.mark.parametrize("delivered", [of_names(*NAMES), of_names(*reversed(NAMES)), of_types()])
def test_the_declared_columns_in_any_order_are_no_change(previous: Schema | None, delivered: Schema) -> None:
    change = classify(previous, delivered, BUREAU)
    assert judged(change) == ("none", ())
    assert change.undeclared == ()


def test_a_new_column_is_additive_until_it_was_accepted() -> None:
    delivered = of_names(*NAMES, "NEW_COLUMN")
    first = classify(of_names(*NAMES), delivered, BUREAU)
    assert judged(first) == ("additive", ("+ NEW_COLUMN (not declared: left out)",))
    assert first.message(FILE, BUREAU).startswith(
        "bureau: unknown column NEW_COLUMN in s3://feeds/bureau.csv; nothing that is"
    )
    again = classify(delivered, delivered, BUREAU)
    assert judged(again) == ("none", ())
    assert again.undeclared == ("NEW_COLUMN",)
    assert classify(None, delivered, BUREAU) == first


def test_an_undeclared_column_that_is_gone_is_told() -> None:
    change = classify(of_names(*NAMES, "OLD"), of_names(*NAMES), BUREAU)
    assert judged(change) == ("additive", ("- OLD (was not declared: nothing read it)",))


def test_a_missing_column_is_breaking_and_a_likely_new_name_is_hinted_at() -> None:
    change = classify(of_names(*NAMES), renamed("CREDIT_TYPE", "CREDIT_KIND"), BUREAU)
    assert judged(change) == (
        "breaking",
        (
            "- CREDIT_TYPE (declared, missing; renamed to CREDIT_KIND?)",
            "+ CREDIT_KIND (not declared: left out)",
        ),
    )
    assert change.message(FILE, BUREAU) == (
        "bureau: missing column CREDIT_TYPE; unknown column CREDIT_KIND in s3://feeds/bureau.csv; "
        "the contract declares 17 columns (docs/data-dictionary.md)"
    )
    assert change.diff == "\n".join(change.lines)


def test_a_name_in_other_letters_is_another_name_and_hinted_at() -> None:
    change = classify(None, renamed("CREDIT_TYPE", "credit_type"), BUREAU)
    assert change.kind == "breaking"
    assert change.lines[0] == "- CREDIT_TYPE (declared, missing; renamed to credit_type?)"


def test_all_names_in_other_letters_are_hinted_at_and_few_are_listed() -> None:
    change = classify(None, of_names(*(f" {name.lower()}" for name in NAMES)), BUREAU)
    assert change.kind == "breaking"
    assert change.lines[0] == "- SK_ID_CURR (declared, missing; renamed to  sk_id_curr?)"
    assert len(change.lines) == 2 * len(NAMES)
    assert change.words.count(" and 9 more") == 2


@pytest.mark.parametrize(("sign", "word"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")])
def test_columns_separated_otherwise_are_told_as_such(sign: str, word: str) -> None:
    change = classify(None, of_names(sign.join(NAMES)), BUREAU)
    assert change.kind == "breaking"
    assert change.message(FILE, BUREAU).startswith(f"bureau: columns separated by {word} instead of commas in s3://")


@pytest.mark.parametrize(
    "first_line", [["100551", "77777.77", "Consumer credit", "", ""], ["<!DOCTYPE html>77777.77"], ["77777.77;100551"]]
)
def test_a_row_where_the_header_should_be_is_not_shown(first_line: list[str]) -> None:
    change = classify(of_names(*NAMES), of_names(*first_line), BUREAU)
    told = change.message(FILE, BUREAU) + change.diff + "".join(change.undeclared)
    assert change.kind == "breaking"
    assert "a first line that names none of the 17 declared columns (no header, or another table's)" in told
    assert "77777" not in told
    assert "100551" not in told


@pytest.mark.parametrize("again", ["CREDIT_TYPE", "credit_type"])
def test_a_column_delivered_twice_is_breaking(again: str) -> None:
    change = classify(None, of_names(*NAMES, again), BUREAU)
    assert change.kind == "breaking"
    assert "+ CREDIT_TYPE (delivered more than once)" in change.lines
    assert "repeated column CREDIT_TYPE" in change.words


def test_columns_without_a_name_are_not_taken_for_one_another() -> None:
    change = classify(None, of_names("", *NAMES, ""), BUREAU)
    assert change.kind == "additive"
    assert change.undeclared == ("(unnamed)", "(unnamed)")


def test_a_number_that_became_a_text_is_breaking() -> None:
    change = classify(of_types(), of_types(AMT_ANNUITY="VARCHAR"), BUREAU)
    assert judged(change) == ("breaking", ("~ AMT_ANNUITY DOUBLE -> VARCHAR (declared DOUBLE)",))
    assert "column of another kind AMT_ANNUITY (VARCHAR, declared DOUBLE)" in change.words


@pytest.mark.parametrize(
    ("column", "kind"), [("CREDIT_TYPE", "BIGINT"), ("SK_ID_CURR", "BOOLEAN"), ("CREDIT_TYPE", "BLOB")]
)
def test_a_column_of_another_kind_is_breaking_at_first_sight(column: str, kind: str) -> None:
    assert classify(None, of_types(**{column: kind}), BUREAU).kind == "breaking"


@pytest.mark.parametrize("kind", ["TINYINT", "UBIGINT", "HUGEINT", "FLOAT", "DECIMAL(18,3)", "DOUBLE"])
def test_a_number_of_another_width_is_read_and_told_when_it_changes(kind: str) -> None:
    assert classify(None, of_types(SK_ID_CURR=kind), BUREAU).kind == "none"
    change = classify(of_types(), of_types(SK_ID_CURR=kind), BUREAU)
    assert judged(change) == ("additive", (f"~ SK_ID_CURR BIGINT -> {kind}",))
    assert change.words == f"type changed SK_ID_CURR (BIGINT to {kind})"
    assert change.message(FILE, BUREAU).endswith("bureau.csv; numbers are read as the contract declares them")


def test_a_column_without_a_value_has_no_type_to_compare() -> None:
    nameless = Schema(tuple((name, None if name == "CREDIT_TYPE" else kind) for name, kind in of_types().columns))
    assert classify(of_types(), nameless, BUREAU).kind == "none"


@pytest.mark.parametrize("name", ["a\x1b[31mb", "x" * 65])
def test_a_name_that_cannot_be_printed_is_not_printed(name: str) -> None:
    change = classify(None, of_names(*NAMES, name), BUREAU)
    assert change.lines == ("+ (unprintable name) (not declared: left out)",)
    assert name not in change.message(FILE, BUREAU)
