"""The statement both engines and the request path run: a family's SQL, typed by its contract.

What belongs here: text around a family's SQL. What does not: the SQL (`sql/`), where its inputs come from (`engine`, `request`). The
standard library only: the scoring service imports this.
"""

from collections.abc import Sequence

KEY = "sk_id_curr"
KEY_TYPE = "BIGINT"


def quoted(name: str) -> str:
    """Quote an identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quote a text, such as a path, as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def portable(kind: str) -> str:
    """Return the name of a contract's SQL type that DuckDB and Spark both know: Spark's VARCHAR wants a length."""
    return "STRING" if kind == "VARCHAR" else kind


def family_select(sql: str, columns: Sequence[tuple[str, str]], *, key: str = KEY) -> str:
    """Return the statement that computes a family: its key, then each feature cast to its declared type.

    Parameters
    ----------
    sql
        The family's SQL, as committed.
    columns
        (name, SQL type) of each feature, in contract order; the key is not among them.
    """
    typed = ",\n    ".join(f"cast({name} as {portable(kind)}) as {name}" for name, kind in [(key, KEY_TYPE), *columns])
    return f"select\n    {typed}\nfrom (\n{sql.rstrip()}\n) as family"
