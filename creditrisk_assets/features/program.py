"""A row-wise family as a program: its SQL read once, typed, and written down as plain JSON for the request path.

What belongs here: reading SQL with sqlglot, DuckDB's types of every expression, the closed set of node kinds. What does not: running a
program (`compiled`, which knows the same kinds and nothing of SQL), families that group, join or order rows (DuckDB runs those).

A program is a list of nodes, each `[kind, type, arguments, constant]`. Arguments are places of earlier nodes, so that a subexpression
which occurs twice is one node; every conversion DuckDB makes silently is a `cast`. `outputs` names the node of each feature.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from creditrisk_assets.features.statement import quoted

INTEGERS = ("INTEGER", "BIGINT")
BOOLEAN, DOUBLE, VARCHAR, NULL = "BOOLEAN", "DOUBLE", "VARCHAR", "NULL"
DECIMAL = re.compile(r"DECIMAL\((\d+),\s?(\d+)\)")
WIDEST, WIDEST_SMALL = 38, 18  # digits of a decimal in 128 and in 64 bits
INTEGER_LIMIT, BIGINT_LIMIT = 2**31, 2**63
WHOLE_DIGITS = {"INTEGER": 10, "BIGINT": 19}
CLAUSES = frozenset(
    {"expressions", "from", "from_", "with", "with_", "kind"}
)  # of a SELECT that maps one row to one row
COMPARISONS: Mapping[type[exp.Expression], str] = {
    exp.EQ: "eq", exp.NEQ: "ne", exp.LT: "lt", exp.LTE: "le", exp.GT: "gt", exp.GTE: "ge",
    exp.NullSafeEQ: "same", exp.NullSafeNEQ: "distinct",
}  # fmt: skip
ARITHMETIC: Mapping[type[exp.Expression], str] = {exp.Add: "add", exp.Sub: "sub", exp.Mul: "mul"}
OF_DOUBLES: Mapping[type[exp.Expression], str] = {exp.Sqrt: "sqrt", exp.Exp: "exp", exp.Ln: "ln"}

Columns = Mapping[str, int]
Node = tuple[str, str, tuple[int, ...], Any]


class ProgramError(ValueError):
    """The SQL is not row-wise or holds something a program has no node for; the message names it."""


@dataclass
class _Nodes:
    """The nodes so far; an equal one is never made twice."""

    nodes: list[Node] = field(default_factory=list)
    places: dict[Node, int] = field(default_factory=dict)

    def add(self, kind: str, of: str, arguments: Sequence[int] = (), constant: Any = None) -> int:
        node = (kind, of, tuple(arguments), constant)  # the type tells 1 from 1.0 and true, which are equal in Python
        if node not in self.places:
            self.places[node] = len(self.nodes)
            self.nodes.append(node)
        return self.places[node]

    def type_of(self, place: int) -> str:
        return self.nodes[place][1]

    def is_literal(self, place: int) -> bool:
        return self.nodes[place][0] == "literal"

    def cast(self, place: int, to: str) -> int:
        """Convert as DuckDB does unasked; a literal takes the type itself."""
        kind, of, _, constant = self.nodes[place]
        if of == to:
            return place
        if of == NULL:
            return self.add("literal", to, (), None)
        if kind == "literal" and of in INTEGERS and to == DOUBLE:
            return self.add("literal", to, (), float(constant))
        return self.add("cast", to, (place,))


def render_program(
    sql: str, table: str, inputs: Sequence[tuple[str, str]], columns: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """Write a row-wise family as a program.

    Parameters
    ----------
    sql
        The family's SQL, as committed.
    table
        The one input it reads.
    inputs
        (name, SQL type) of the input's columns.
    columns
        (name, SQL type) of each feature, in contract order.

    Returns
    -------
    dict
        `nodes` and `outputs`, and the hash of the SQL they say again; JSON values.

    Raises
    ------
    ProgramError
        The SQL groups, joins, filters or orders rows, holds an expression that has no node, or has other types than DuckDB sees.
    """
    try:
        statement = sqlglot.parse_one(sql, read="duckdb")
    except SqlglotError as error:
        raise ProgramError(f"it does not parse: {' '.join(str(error).split())[:200]}") from error
    nodes = _Nodes()
    base = {name.lower(): nodes.add("column", kind, (), name) for name, kind in inputs}
    found = _Query(nodes).columns(statement, {table.lower(): base})
    if missing := [name for name, _ in columns if name not in found]:
        raise ProgramError(f"it yields no column {missing[0]}")
    _compare_types(sql, table, inputs, {name: nodes.type_of(place) for name, place in found.items()})
    outputs = [nodes.cast(found[name], kind) for name, kind in columns]
    return _pruned(sql, nodes.nodes, outputs)


def _pruned(sql: str, nodes: Sequence[Node], outputs: Sequence[int]) -> dict[str, Any]:
    """Leave out what no output needs; the columns stay, since a request's values are checked against their types."""
    needed = set(outputs)
    for place in range(len(nodes) - 1, -1, -1):
        if place in needed:
            needed.update(nodes[place][2])
    kept = [place for place, node in enumerate(nodes) if place in needed or node[0] == "column"]
    new = {place: number for number, place in enumerate(kept)}
    return {
        "sql_sha256": hashlib.sha256(sql.encode()).hexdigest(),
        "nodes": [
            [kind, of, [new[a] for a in args], value] for kind, of, args, value in (nodes[place] for place in kept)
        ],
        "outputs": [new[place] for place in outputs],
    }


def _compare_types(sql: str, table: str, inputs: Sequence[tuple[str, str]], found: Mapping[str, str]) -> None:
    """Make sure that the types told here are those DuckDB gives the statement's columns."""
    with duckdb.connect() as con:
        declared = ", ".join(f"{quoted(name)} {kind}" for name, kind in inputs)
        con.execute(f"create table {quoted(table)} ({declared})")
        described = con.execute(f"describe select * from (\n{sql.rstrip()}\n) as family").fetchall()  # noqa: S608 - committed SQL
    types = {row[0].lower(): str(row[1]) for row in described}
    for name, kind in found.items():
        if types.get(name) != kind and kind != NULL:
            raise ProgramError(
                f"column {name} is {types.get(name)} in DuckDB, not {kind}: a node's type is told wrongly"
            )


class _Query:
    """Walks queries: each yields its columns as places of nodes."""

    def __init__(self, nodes: _Nodes) -> None:
        self._nodes = nodes

    def columns(self, query: exp.Expression, known: Mapping[str, Columns]) -> dict[str, int]:
        scope = dict(known)
        if (clause := query.args.get("with_") or query.args.get("with")) is not None:
            for cte in clause.expressions:
                scope[cte.alias.lower()] = self.columns(cte.this, scope)
        if isinstance(query, exp.Subquery):
            return self.columns(query.this, scope)
        if not isinstance(query, exp.Select):
            raise ProgramError(f"a {type(query).__name__} is not a SELECT from one row to one row")
        if beyond := sorted(name for name, value in query.args.items() if value and name not in CLAUSES):
            raise ProgramError(f"a SELECT with {', '.join(beyond)} does not map one row to one row")
        alias, source = self._source(query, scope)
        found: dict[str, int] = {}
        for item in query.expressions:
            expression = _Expression(self._nodes, alias, source, found)
            place = expression.place(item.this if isinstance(item, exp.Alias) else item)
            if self._nodes.is_literal(place):  # a column of that type, no longer a literal that takes any
                place = self._nodes.add("cast", self._nodes.type_of(place), (place,))
            found[item.alias_or_name.lower()] = place
        return found

    def _source(self, query: exp.Select, known: Mapping[str, Columns]) -> tuple[str, Columns]:
        clause = query.args.get("from_") or query.args.get("from")
        part = clause.this if clause is not None else None
        if isinstance(part, exp.Subquery):
            return part.alias_or_name.lower(), self.columns(part.this, known)
        if not isinstance(part, exp.Table) or part.name.lower() not in known:
            raise ProgramError(
                f"FROM {part.sql('duckdb')[:60] if part is not None else 'nothing'} is not one row of the input"
            )
        return part.alias_or_name.lower(), known[part.name.lower()]


class _Expression:
    """Writes one expression of a SELECT as nodes."""

    def __init__(self, nodes: _Nodes, alias: str, source: Columns, aliases: Columns) -> None:
        self._nodes = nodes
        self._alias = alias
        self._source = source
        self._aliases = aliases  # of the same SELECT, further left

    def place(self, node: exp.Expression) -> int:
        """Return the place of an expression's node."""
        of = type(node)
        if of in COMPARISONS:
            return self._compare(COMPARISONS[of], self.place(node.this), self.place(node.expression))
        if of in ARITHMETIC:
            return self._arithmetic(ARITHMETIC[of], self.place(node.this), self.place(node.expression))
        if of in OF_DOUBLES:
            return self._of_doubles(OF_DOUBLES[of], node.this)
        if (write := self._kinds().get(of)) is None:
            raise ProgramError(f"{of.__name__} in `{node.sql('duckdb')[:80]}` is no node of a request's program")
        return write(node)

    def _kinds(self) -> Mapping[type[exp.Expression], Callable[[Any], int]]:
        return {
            exp.Paren: lambda node: self.place(node.this),
            exp.Column: self._column,
            exp.Literal: self._literal,
            exp.Null: lambda _: self._nodes.add("literal", NULL),
            exp.Boolean: lambda node: self._nodes.add("literal", BOOLEAN, (), bool(node.this)),
            exp.Neg: self._neg,
            exp.Div: lambda node: self._of_doubles("div", node.this, node.expression),
            exp.Pow: lambda node: self._of_doubles("power", node.this, node.expression),
            exp.Log: self._log,
            exp.Abs: self._abs,
            exp.Round: self._round,
            exp.Floor: lambda node: self._of_doubles("floor", node.this),
            exp.Ceil: lambda node: self._of_doubles("ceil", node.this),
            exp.And: lambda node: self._boolean("and", node.this, node.expression),
            exp.Or: lambda node: self._boolean("or", node.this, node.expression),
            exp.Not: lambda node: self._boolean("not", node.this),
            exp.Is: self._is,
            exp.Between: self._between,
            exp.In: self._in,
            exp.Case: self._case,
            exp.If: lambda node: self._choose([(node.this, node.args["true"])], node.args.get("false")),
            exp.Coalesce: lambda node: self._alike("coalesce", [node.this, *node.expressions]),
            exp.Least: lambda node: self._alike("least", [node.this, *node.expressions]),
            exp.Greatest: lambda node: self._alike("greatest", [node.this, *node.expressions]),
            exp.Nullif: self._nullif,
            exp.Cast: lambda node: self._cast(self.place(node.this), node.to.sql("duckdb")),
        }

    def _column(self, node: exp.Column) -> int:
        name, table = node.name.lower(), node.table.lower()
        if table in ("", self._alias) and name in self._source:
            return self._source[name]
        if not table and name in self._aliases:
            return self._aliases[name]
        raise ProgramError(f"column {node.sql('duckdb')} is in no input")

    def _literal(self, node: exp.Literal) -> int:
        if node.is_string:
            return self._nodes.add("literal", VARCHAR, (), node.name)
        return self._number(node.name)

    def _number(self, text: str) -> int:
        if re.fullmatch(r"-?\d+", text):
            value = int(text)
            for kind, limit in zip(INTEGERS, (INTEGER_LIMIT, BIGINT_LIMIT), strict=True):
                if -limit <= value < limit:
                    return self._nodes.add("literal", kind, (), value)
        elif "e" in text.lower():
            return self._nodes.add("literal", DOUBLE, (), float(text))
        raise ProgramError(f"the literal {text} is neither a whole number of 64 bits nor a double")

    def _neg(self, node: exp.Neg) -> int:
        if isinstance(node.this, exp.Literal) and not node.this.is_string:
            return self._number(f"-{node.this.name}")
        place = self.place(node.this)
        self._numeric(place, node)
        return self._nodes.add("neg", self._nodes.type_of(place), (place,))

    def _abs(self, node: exp.Abs) -> int:
        place = self.place(node.this)
        self._numeric(place, node)
        return self._nodes.add("abs", self._nodes.type_of(place), (place,))

    def _round(self, node: exp.Round) -> int:
        place = self.place(node.this)
        decimals = node.args.get("decimals")
        digits = 0
        if decimals is not None:
            constant = self._nodes.nodes[self.place(decimals)]
            if constant[0] != "literal" or not isinstance(constant[3], int) or constant[3] < 0:
                raise ProgramError(f"`{node.sql('duckdb')[:80]}`: digits must be a whole number from 0 on")
            digits = constant[3]
        of = self._nodes.type_of(place)
        if of == DOUBLE:
            return self._nodes.add("round", of, (place,), digits)
        if of in INTEGERS:
            return place
        width, scale = self._decimal(place, node)
        return place if digits >= scale else self._nodes.add("round", f"DECIMAL({width},{digits})", (place,), digits)

    def _log(self, node: exp.Log) -> int:
        if node.args.get("expression") is not None and node.this.name != "10":
            raise ProgramError(f"`{node.sql('duckdb')[:80]}`: only ln and log10 have a node")
        return self._of_doubles("log10", node.args.get("expression") or node.this)

    def _of_doubles(self, kind: str, *arguments: exp.Expression) -> int:
        places = [self.place(argument) for argument in arguments]
        for place, argument in zip(places, arguments, strict=True):
            self._numeric(place, argument)
            if kind in ("floor", "ceil") and DECIMAL.fullmatch(self._nodes.type_of(place)):
                raise ProgramError(
                    f"`{argument.sql('duckdb')[:80]}`: {kind} of a decimal has no node; cast it to double"
                )
        return self._nodes.add(kind, DOUBLE, [self._nodes.cast(place, DOUBLE) for place in places])

    def _arithmetic(self, kind: str, left: int, right: int) -> int:
        of = self._nodes.type_of
        if NULL in (of(left), of(right)):
            raise ProgramError(f"{kind} with a bare NULL has no node")
        if DOUBLE in (of(left), of(right)):
            return self._nodes.add(kind, DOUBLE, [self._nodes.cast(place, DOUBLE) for place in (left, right)])
        if of(left) in INTEGERS and of(right) in INTEGERS:
            return self._nodes.add(kind, self._integer([left, right]), (left, right))
        (w1, s1), (w2, s2) = (self._decimal_or_whole(place) for place in (left, right))
        if kind == "mul":
            width, scale = w1 + w2, s1 + s2
        else:
            width, scale = max(w1 - s1, w2 - s2) + max(s1, s2) + 1, max(s1, s2)
        if width > WIDEST_SMALL >= max(w1, w2):  # DuckDB stays within 64 bits and checks for overflow
            width = WIDEST_SMALL
        width = min(width, WIDEST)
        if scale > width:
            raise ProgramError(f"{kind} of DECIMAL({w1},{s1}) and DECIMAL({w2},{s2}) has too many decimals")
        places = [self._to_scale(left, s1), self._to_scale(right, s2)]
        if kind != "mul":
            places = [self._rescaled(place, scale) for place in places]
        return self._nodes.add(kind, f"DECIMAL({width},{scale})", places)

    def _to_scale(self, place: int, scale: int) -> int:
        """Write a whole number as a decimal without decimals."""
        if self._nodes.type_of(place) in INTEGERS:
            width, _ = self._decimal_or_whole(place)
            return self._nodes.cast(place, f"DECIMAL({width},{scale})")
        return place

    def _rescaled(self, place: int, scale: int) -> int:
        width, had = self._decimal_or_whole(place)
        return (
            place if had == scale else self._nodes.cast(place, f"DECIMAL({min(width - had + scale, WIDEST)},{scale})")
        )

    def _integer(self, places: Sequence[int]) -> str:
        """Return the wider of integer types; a literal takes that of the others."""
        types = [self._nodes.type_of(place) for place in places]
        free = [kind for place, kind in zip(places, types, strict=True) if not self._nodes.is_literal(place)]
        literals = set(types) - set(free)
        return "BIGINT" if "BIGINT" in free or "BIGINT" in literals else "INTEGER"

    def _common(self, places: Sequence[int]) -> str:
        """Return the type in which DuckDB compares values, or gives one of them."""
        types = {self._nodes.type_of(place) for place in places} - {NULL}
        if not types:
            raise ProgramError("only NULL: its type is not told; cast it")
        if len(types) == 1:
            return types.pop()
        if types <= set(INTEGERS):
            return self._integer(places)
        if DOUBLE in types and not types & {BOOLEAN, VARCHAR}:
            return DOUBLE
        if types & {BOOLEAN, VARCHAR}:
            raise ProgramError(f"{' and '.join(sorted(types))} in one place: cast one of them")
        sizes = [self._decimal_or_whole(place) for place in places if self._nodes.type_of(place) != NULL]
        scale = max(scale for _, scale in sizes)
        width = max(width - scale for width, scale in sizes) + scale
        if width > WIDEST:
            raise ProgramError(f"{' and '.join(sorted(types))} have no common decimal of {WIDEST} digits; cast them")
        return f"DECIMAL({width},{scale})"

    def _compare(self, kind: str, left: int, right: int) -> int:
        common = self._common([left, right])
        return self._nodes.add(kind, BOOLEAN, [self._nodes.cast(place, common) for place in (left, right)])

    def _boolean(self, kind: str, *arguments: exp.Expression) -> int:
        places = [self._nodes.cast(self.place(argument), BOOLEAN) for argument in arguments]
        for place, argument in zip(places, arguments, strict=True):
            if self._nodes.nodes[place][0] == "cast":
                raise ProgramError(f"`{argument.sql('duckdb')[:80]}` is no condition")
        return self._nodes.add(kind, BOOLEAN, places)

    def _is(self, node: exp.Is) -> int:
        if not isinstance(node.expression, exp.Null):
            raise ProgramError(f"`{node.sql('duckdb')[:80]}`: IS is known with NULL alone")
        return self._nodes.add("is_null", BOOLEAN, (self.place(node.this),))

    def _between(self, node: exp.Between) -> int:
        value = self.place(node.this)
        parts = [
            self._compare(kind, value, self.place(node.args[bound])) for kind, bound in (("ge", "low"), ("le", "high"))
        ]
        return self._nodes.add("and", BOOLEAN, parts)

    def _in(self, node: exp.In) -> int:
        if not node.expressions:
            raise ProgramError(f"`{node.sql('duckdb')[:80]}`: IN is known with a list alone")
        value = self.place(node.this)
        found: int | None = None
        for item in node.expressions:
            equal = self._compare("eq", value, self.place(item))
            found = equal if found is None else self._nodes.add("or", BOOLEAN, (found, equal))
        assert found is not None  # noqa: S101 - the list is not empty
        return found

    def _case(self, node: exp.Case) -> int:
        branches = [(part.this, part.args["true"]) for part in node.args["ifs"]]
        return self._choose(branches, node.args.get("default"), node.args.get("this"))

    def _choose(
        self,
        branches: Sequence[tuple[exp.Expression, exp.Expression]],
        default: exp.Expression | None,
        subject: exp.Expression | None = None,
    ) -> int:
        conditions, values = [], []
        for condition, value in branches:
            place = self.place(condition)
            if subject is not None:
                place = self._compare("eq", self.place(subject), place)
            elif self._nodes.type_of(place) != BOOLEAN:
                raise ProgramError(f"`{condition.sql('duckdb')[:80]}` is no condition")
            conditions.append(place)
            values.append(self.place(value))
        values.append(self._nodes.add("literal", NULL) if default is None else self.place(default))
        common = self._common(values)
        values = [self._nodes.cast(value, common) for value in values]
        pairs = [place for pair in zip(conditions, values, strict=False) for place in pair]
        return self._nodes.add("case", common, [*pairs, values[-1]])

    def _alike(self, kind: str, arguments: Sequence[exp.Expression]) -> int:
        places = [self.place(argument) for argument in arguments]
        common = self._common(places)
        return self._nodes.add(kind, common, [self._nodes.cast(place, common) for place in places])

    def _nullif(self, node: exp.Nullif) -> int:
        """`nullif(x, y)` is `case when x = y then null else x end`, with x as it is."""
        value, other = self.place(node.this), self.place(node.expression)
        equal = self._compare("eq", value, other)
        null = self._nodes.cast(self._nodes.add("literal", NULL), self._nodes.type_of(value))
        return self._nodes.add("case", self._nodes.type_of(value), (equal, null, value))

    def _cast(self, place: int, to: str) -> int:
        wanted = {"INT": "INTEGER", "TEXT": VARCHAR}.get(to, to.replace(", ", ","))
        of = self._nodes.type_of(place)
        if of in (wanted, NULL):
            return self._nodes.cast(place, wanted)
        known = wanted in (*INTEGERS, DOUBLE) or DECIMAL.fullmatch(wanted)
        if not known or of == VARCHAR:
            raise ProgramError(f"cast of {of} to {wanted} has no node")
        return self._nodes.add("cast", wanted, (place,))

    def _numeric(self, place: int, node: exp.Expression) -> None:
        if self._nodes.type_of(place) in (BOOLEAN, VARCHAR, NULL):
            raise ProgramError(f"`{node.sql('duckdb')[:80]}` is arithmetic on {self._nodes.type_of(place)}")

    def _decimal(self, place: int, node: exp.Expression) -> tuple[int, int]:
        if (match := DECIMAL.fullmatch(self._nodes.type_of(place))) is None:
            raise ProgramError(f"`{node.sql('duckdb')[:80]}` takes no {self._nodes.type_of(place)}")
        return int(match[1]), int(match[2])

    def _decimal_or_whole(self, place: int) -> tuple[int, int]:
        """Return the digits a decimal needs for a value of this node, and how many of them are decimals."""
        kind, of, _, constant = self._nodes.nodes[place]
        if kind == "literal" and of in INTEGERS:
            return len(str(abs(constant))), 0
        if of in INTEGERS:
            return WHOLE_DIGITS[of], 0
        if (match := DECIMAL.fullmatch(of)) is None:
            raise ProgramError(f"arithmetic of a decimal with {of} has no node")
        return int(match[1]), int(match[2])
