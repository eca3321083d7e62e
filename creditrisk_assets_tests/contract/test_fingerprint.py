"""A code version changes with what an artefact contains and with nothing else."""

from pathlib import Path

import ibis.expr.datatypes as dt
import pytest

from creditrisk_assets.contracts import fields as f
from creditrisk_assets.contracts import fingerprint, rules
from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.sources import SOURCES


def test_known_versions_do_not_move() -> None:
    assert code_version("a", 1, None) == code_version("a", 1, None)
    assert len(code_version("a")) == 16
    assert len({code_version("ab"), code_version("a", "b"), code_version("b", "a"), code_version(["a", "b"])}) == 4


def module(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "module.py"
    path.write_text(text)
    return path


PYTHON = '"""Doc."""\n\ndef f(x):\n    return x + 1\n'


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ('"""Other words."""\n\n\n# why\ndef f( x ):\n    """Say."""\n    return (x + 1)  # note\n', True),
        ("def f(x):\n    return x + 2\n", False),
        ("def f(y):\n    return y + 1\n", False),
    ],
)
def test_comments_docstrings_and_layout_of_python_do_not_count(text: str, same: bool, tmp_path: Path) -> None:
    before = code_version(module(tmp_path, PYTHON))
    assert (code_version(module(tmp_path, text)) == before) is same


def test_a_docstring_alone_is_an_empty_body(tmp_path: Path) -> None:
    told = "class A:\n    'Say.'\n    async def f(self):\n        'Say.'\n"
    empty = "class A:\n    async def f(self):\n        pass\n"
    assert code_version(module(tmp_path, told)) == code_version(module(tmp_path, empty))
    assert code_version(module(tmp_path, told)) != code_version(module(tmp_path, told.replace("async ", "")))


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("-- why\nselect a,\n    b  /* c */\nfrom t\n", True),
        ("select a, b from u", False),
        ("select a, b -- c from t\n", False),
    ],
)
def test_comments_and_layout_of_sql_do_not_count(text: str, same: bool) -> None:
    assert (code_version(text) == code_version("select a, b from t")) is same


def test_text_in_quotes_counts_to_the_letter() -> None:
    assert code_version("select 'a  b' from t") != code_version("select 'a b' from t")
    assert code_version("select 'a--b' from t") != code_version("select 'a--c' from t")


def test_yaml_counts_to_the_blank() -> None:
    assert code_version("a:\n  b: 1") != code_version("a:\nb: 1")


def model(description: str, maximum: int, **config: object) -> type[DataFrameModel]:
    class Table(DataFrameModel):
        ID: dt.Int64 = f.key(description)
        N: dt.Int32 = f.count(description, dating="event", maximum=maximum)

        class Config:
            strict = True
            unique = config.get("unique", ("ID",))

    return Table


def test_words_of_a_contract_do_not_count_but_its_rules_do() -> None:
    assert code_version(model("a number", 5)) == code_version(model("another word for it", 5))
    assert code_version(model("a number", 5)) != code_version(model("a number", 6))
    assert code_version(model("a number", 5)) != code_version(model("a number", 5, unique=("ID", "N")))


def test_every_source_has_its_own_version() -> None:
    versions = {code_version(contract) for contract in SOURCES.values()}
    assert len(versions) == len(SOURCES)


def test_modules_functions_and_sets_have_a_version() -> None:
    assert code_version(rules) != code_version(fingerprint)
    assert code_version(rules.column_rules) != code_version(rules.Rule)
    assert code_version({"b", "a"}) == code_version({"a", "b"})


def test_what_has_no_stable_text_is_refused() -> None:
    with pytest.raises(TypeError, match="object has no stable text"):
        code_version(object())
