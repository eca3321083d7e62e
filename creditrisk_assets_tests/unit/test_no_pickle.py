"""No code of the platform reads a pickle, by whatever name: reading one runs what its writer put in."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import creditrisk_assets
import creditrisk_serving

PACKAGES = [Path(package.__file__).parent for package in (creditrisk_assets, creditrisk_serving)]
PICKLES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "jsonpickle", "shelve", "marshal"}
GUARDED = {"registry/tracking.py": ["mlflow.pyfunc.load_model"]}  # pickles off, code compared: test_mlflow.py
READERS = {"read_pickle", "load_model", "unsafe_load", "unsafe_load_all"}


def breaches(tree: ast.AST) -> Iterator[str]:
    """Name what reads a pickle: an import of a pickling module, a reader of models or pickles, skops or numpy told to trust all."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in PICKLES)
        elif isinstance(node, ast.ImportFrom):
            named = {(node.module or "").split(".")[0], *(alias.name for alias in node.names)}
            yield from sorted(named & (PICKLES | READERS))
        elif isinstance(node, ast.Call):
            yield from _called(node)


def _called(node: ast.Call) -> Iterator[str]:
    words = {word.arg: word.value for word in node.keywords}
    name = ast.unparse(node.func)
    if name.split(".")[-1] in READERS and not name.startswith("self."):
        yield name
    if name.endswith("import_module") and node.args and isinstance(node.args[0], ast.Constant):
        yield from [str(node.args[0].value)] if str(node.args[0].value).split(".")[0] in PICKLES else []
    allowed = words.get("allow_pickle")
    if allowed is not None and not (isinstance(allowed, ast.Constant) and allowed.value is False):
        yield f"{name}(allow_pickle)"
    if name.startswith(("skops.", "sio.")) and name.endswith((".load", ".loads")):
        trusted = words.get("trusted")
        if trusted is None or (isinstance(trusted, ast.Constant) and trusted.value in {True, None}):
            yield f"{name} without trusted types"


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_nothing_reads_a_pickle(package: Path) -> None:
    modules = sorted(package.rglob("*.py"))
    found = {str(path.relative_to(package)): list(breaches(ast.parse(path.read_text("utf-8")))) for path in modules}
    assert len(modules) > 20
    guarded = {path: names for path, names in GUARDED.items() if path in found}
    assert {path: names for path, names in found.items() if names} == guarded


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "import joblib.externals",
        "from cloudpickle import loads",
        "from mlflow.sklearn import load_model",
        "mlflow.lightgbm.load_model('models:/x@champion')",
        "importlib.import_module('dill')",
        "pandas.read_pickle(path)",
        "numpy.load(path, allow_pickle=True)",
        "skops.io.load(path)",
        "skops.io.loads(text, trusted=True)",
        "yaml.unsafe_load(text)",
    ],
)
def test_the_search_finds_each_way_to_read_one(code: str) -> None:
    assert list(breaches(ast.parse(code)))


@pytest.mark.parametrize("code", ["json.loads(text)", "skops.io.load(path, trusted=NAMES)", "Bundle.load(path, key)"])
def test_what_runs_nothing_is_let_pass(code: str) -> None:
    assert not list(breaches(ast.parse(code)))
