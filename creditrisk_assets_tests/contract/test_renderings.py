"""What is rendered from the contracts says what they say."""

import json
from pathlib import Path

import duckdb
import pyarrow.parquet
import pytest

from creditrisk_assets.contracts.check import check
from creditrisk_assets.contracts.render.arrow import arrow_schema
from creditrisk_assets.contracts.render.markdown import data_dictionary, report_table
from creditrisk_assets.contracts.render.request import table_schema
from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets_tests.contract.tables import put, valid_rows

ROOT = Path(__file__).parents[2]


def test_the_data_dictionary_is_the_contracts() -> None:
    written = (ROOT / "docs" / "data-dictionary.md").read_text("utf-8")
    command = "python -m creditrisk_assets.contracts.render.markdown docs/data-dictionary.md"
    assert written == data_dictionary(SOURCES), f"the contracts changed; run `{command}`"


@pytest.mark.parametrize("table", SOURCES)
def test_the_arrow_schema_is_what_duckdb_writes(table: str, tmp_path: Path, con: duckdb.DuckDBPyConnection) -> None:
    put(con, SOURCES[table], [])
    con.execute(f"copy subject to '{tmp_path / 'data.parquet'}' (format parquet)")
    written = pyarrow.parquet.read_schema(tmp_path / "data.parquet")
    declared = arrow_schema(SOURCES[table])
    assert (declared.names, declared.types) == (written.names, written.types)


@pytest.mark.parametrize("table", SOURCES)
def test_a_request_schema_is_json_and_complete(table: str) -> None:
    schema = table_schema(SOURCES[table])
    assert json.loads(json.dumps(schema)) == schema
    assert [column["name"] for column in schema["columns"]] == [column.name for column in SOURCES[table].columns]


def test_an_open_list_does_not_refuse_a_request() -> None:
    columns = {column["name"]: column for column in table_schema(SOURCES["application_test"])["columns"]}
    assert columns["ORGANIZATION_TYPE"]["categories"] is None
    assert "Bank" in columns["ORGANIZATION_TYPE"]["known_categories"]
    assert columns["CODE_GENDER"]["categories"] == ["F", "M", "XNA"]
    assert columns["DAYS_EMPLOYED"]["sentinels"][0]["value"] == 365243


def test_a_report_is_a_table_for_people(con: duckdb.DuckDBPyConnection) -> None:
    contract = SOURCES["bureau_balance"]
    rows = valid_rows(contract, 8)
    assert "all hold" in report_table(check(con, put(con, contract, rows), contract))
    rows[3]["STATUS"] = "?"
    text = report_table(check(con, put(con, contract, rows), contract))
    assert "| category | STATUS | error | 1 | 12.50% |" in text
    assert "SK_ID_BUREAU=4, MONTHS_BALANCE=" in text
