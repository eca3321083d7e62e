"""Code versions: a short hash of everything that decides what an artefact contains, and of nothing else.

What belongs here: normalising and hashing declarations. What does not: which declarations an artefact depends on (its
asset).

Comments, docstrings, blank lines and formatting do not change the hash: a version that changes with a comment makes
people distrust it, one that misses a changed rule makes them trust a stale table.
"""

import ast
import hashlib
import inspect
import json
import re
import textwrap
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.rules import column_rules
from creditrisk_assets.contracts.table import TableContract

LENGTH = 16
_DESCRIBED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def code_version(*parts: object) -> str:
    """Hash the parts an artefact is made by, in the order given.

    Parameters
    ----------
    *parts
        Table contracts, Pandera models, modules, functions and classes (their source), paths of SQL or other text
        files, SQL texts and other plain values (compared as they are).

    Returns
    -------
    str
        16 hexadecimal digits.

    Raises
    ------
    TypeError
        A part has no stable text.
    """
    digest = hashlib.sha256()
    for part in parts:
        text = _text(part)
        digest.update(f"{len(text)}:{text};".encode())
    return digest.hexdigest()[:LENGTH]


def _text(part: object) -> str:
    """Write a part in its normal form."""
    match part:
        case TableContract():
            text = _contract(part)
        case type() if issubclass(part, DataFrameModel):
            text = _contract(TableContract(table=part.__name__, model=part))
        case ModuleType() | type() | FunctionType():
            text = _python(inspect.getsource(part))
        case Path():
            forms: Mapping[str, Callable[[str], str]] = {".py": _python, ".sql": _sql}
            text = forms.get(part.suffix, str)(part.read_text("utf-8"))
        case str():
            text = _sql(part) if re.search(r"\bselect\b", part, re.IGNORECASE) else part
        case None | bool() | int() | float() | bytes():
            text = repr(part)
        case Mapping():
            text = json.dumps(sorted((str(name), _text(value)) for name, value in part.items()))
        case list() | tuple():
            text = json.dumps([_text(each) for each in part])
        case set() | frozenset():
            text = json.dumps(sorted(_text(each) for each in part))
        case _:
            raise TypeError(
                f"a {type(part).__name__} has no stable text to hash; pass its module, its source or plain values"
            )
    return text


def _contract(contract: TableContract) -> str:
    """Write what a contract demands: types, nullability, rules, key, ties. Words are left out."""
    return json.dumps(
        {
            "columns": [[spec.name, spec.sql_type, spec.nullable] for spec in contract.columns],
            "rules": [
                [rule.name, rule.aggregate, rule.severity, rule.tolerated_share] for rule in column_rules(contract)
            ],
            "key": contract.key,
            "strict": contract.schema.strict,
            "ties": [repr(tie) for tie in contract.relations],
            "may_be_empty": contract.may_be_empty,
        }
    )


@cache  # many artefacts share a module
def _python(source: str) -> str:
    """Write Python source as its syntax tree, without comments, docstrings (they are text for people) and layout."""
    return _node(ast.parse(textwrap.dedent(source)))


def _node(node: Any) -> str:
    """Write a syntax tree as `ast.dump` does, which takes twice as long and would need the docstrings removed before."""
    if isinstance(node, list):
        return f"[{', '.join([_node(one) for one in node])}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    kind, fields = node.__class__, []
    for name in kind._fields:
        value: Any = getattr(node, name, None)
        if value is None and getattr(kind, name, ...) is None:
            continue
        if name == "body" and isinstance(node, _DESCRIBED) and _is_text(value):
            value = value[1:] or [ast.Pass()]
        fields.append(f"{name}={_node(value)}")
    return f"{kind.__name__}({', '.join(fields)})"


def _is_text(body: list[ast.stmt]) -> bool:
    """Whether a body begins with a docstring."""
    match body:
        case [ast.Expr(value=ast.Constant(value=str())), *_]:
            return True
    return False


def _sql(text: str) -> str:
    """Write SQL without comments and layout; what stands in quotes is kept."""
    tokens = re.findall(
        r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/|\s+|[^\s'\"/-]+|.", text, flags=re.DOTALL
    )
    out: list[str] = []
    for token in tokens:
        blank = token.isspace() or token.startswith(("--", "/*"))
        if not blank:
            out.append(token)
        elif out and out[-1] != " ":
            out.append(" ")
    return "".join(out).strip()
