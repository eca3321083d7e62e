"""A family as a program: its SQL read once, typed, and written down as plain JSON for the request path.

What belongs here: reading SQL with sqlglot, DuckDB's types of every expression, the closed set of steps and node kinds. What does not:
running a program (`compiled`, `relations`, which know the same kinds and nothing of SQL).

A program is a list of steps over relations: the input tables first, then what each step yields, numbered through.

    map     rows of a relation, joined to others by equal values, filtered, each to one row of expressions
    group   rows with equal keys to one row of their keys and aggregates
    window  every row with a value computed from its partition in order

Expressions are nodes, `[kind, type, arguments, constant]` each. Arguments are places of earlier nodes, so that a subexpression which
occurs twice is one node; every conversion DuckDB makes silently is a `cast`. Steps that only one other reads are melted into it, and
what nobody reads is left out, so that a family of the application alone ends as one `map`.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from creditrisk_assets.features.statement import KEY, KEY_TYPE, quoted

INTEGERS = {
    "TINYINT": 8,
    "SMALLINT": 16,
    "INTEGER": 32,
    "BIGINT": 64,
    "HUGEINT": 128,
}  # in rising order, and their bits
BOOLEAN, DOUBLE, VARCHAR, NULL = "BOOLEAN", "DOUBLE", "VARCHAR", "NULL"
DECIMAL = re.compile(r"DECIMAL\((\d+),\s?(\d+)\)")
WIDEST, WIDEST_SMALL = 38, 18  # digits of a decimal in 128 and in 64 bits
WHOLE_DIGITS = {"TINYINT": 3, "SMALLINT": 5, "INTEGER": 10, "BIGINT": 19, "HUGEINT": 38}
CLAUSES = frozenset({"expressions", "from", "from_", "with", "with_", "kind", "joins", "where", "group", "distinct"})
COMPARISONS: Mapping[type[exp.Expression], str] = {
    exp.EQ: "eq", exp.NEQ: "ne", exp.LT: "lt", exp.LTE: "le", exp.GT: "gt", exp.GTE: "ge",
    exp.NullSafeEQ: "same", exp.NullSafeNEQ: "distinct",
}  # fmt: skip
ARITHMETIC: Mapping[type[exp.Expression], str] = {exp.Add: "add", exp.Sub: "sub", exp.Mul: "mul"}
OF_DOUBLES: Mapping[type[exp.Expression], str] = {exp.Sqrt: "sqrt", exp.Exp: "exp", exp.Ln: "ln"}

Node = tuple[str, str, tuple[int, ...], Any]
Resolve = Callable[[exp.Column], int]
Step = dict[str, Any]


class ProgramError(ValueError):
    """The SQL holds something a program has no step or node for; the message names it."""


@dataclass
class _Nodes:
    """The nodes of one step; an equal one is never made twice."""

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
        return self.nodes[place][0] == "literal" and self.nodes[place][3] is not None

    def cast(self, place: int, to: str) -> int:
        """Convert as DuckDB does unasked; a literal takes the type itself."""
        kind, of, _, constant = self.nodes[place]
        if of == to:
            return place
        if of == NULL:
            return self.add("literal", to, (), None)
        if kind == "literal" and constant is not None and of in INTEGERS and to == DOUBLE:
            return self.add("literal", to, (), float(constant))
        return self.add("cast", to, (place,))

    def typed(self, place: int) -> int:
        """Make a literal a column of its type, which no longer takes any."""
        return self.add("cast", self.type_of(place), (place,)) if self.is_literal(place) else place


@dataclass(frozen=True)
class _Relation:
    """A table or what a step yields: its number, and (place, type) of each column."""

    number: int
    columns: Mapping[str, tuple[int, str]]


def render_program(
    sql: str, tables: Mapping[str, Sequence[tuple[str, str]]], columns: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """Write a family as a program.

    Parameters
    ----------
    sql
        The family's SQL, as committed.
    tables
        Input table -> (name, SQL type) of its columns.
    columns
        (name, SQL type) of each feature, in contract order.

    Returns
    -------
    dict
        `tables` and `steps`, the last of which yields the key and the features, and the hash of the SQL they say again; JSON values.

    Raises
    ------
    ProgramError
        The SQL holds a clause or an expression that has no step or node, or has other types than DuckDB sees.
    """
    try:
        statement = sqlglot.parse_one(sql, read="duckdb")
    except SqlglotError as error:
        raise ProgramError(f"it does not parse: {' '.join(str(error).split())[:200]}") from error
    steps = _Steps(len(tables))
    known = {
        table.lower(): _Relation(number, {name.lower(): (place, of) for place, (name, of) in enumerate(inputs)})
        for number, (table, inputs) in enumerate(tables.items())
    }
    found = steps.query(statement, known)
    if missing := [name for name, _ in columns if name not in found.columns]:
        raise ProgramError(f"it yields no column {missing[0]}")
    _compare_types(sql, tables, {name: of for name, (_, of) in found.columns.items()})
    nodes = _Nodes()
    outputs = [
        nodes.cast(nodes.add("column", found.columns[name][1], (), found.columns[name][0]), of)
        for name, of in [(KEY, KEY_TYPE), *columns]
    ]
    steps.add(_map(found.number, nodes, outputs), {})
    widths = [len(inputs) for inputs in tables.values()]
    return {
        "sql_sha256": hashlib.sha256(sql.encode()).hexdigest(),
        "tables": {table: [list(column) for column in inputs] for table, inputs in tables.items()},
        "steps": _pruned(_melted(steps.steps, len(tables)), widths),
    }


def _compare_types(sql: str, tables: Mapping[str, Sequence[tuple[str, str]]], found: Mapping[str, str]) -> None:
    """Make sure that the types told here are those DuckDB gives the statement's columns."""
    with duckdb.connect() as con:
        for table, inputs in tables.items():
            declared = ", ".join(f"{quoted(name)} {kind}" for name, kind in inputs)
            con.execute(f"create table {quoted(table)} ({declared})")
        described = con.execute(f"describe select * from (\n{sql.rstrip()}\n) as family").fetchall()  # noqa: S608 - committed SQL
    types = {row[0].lower(): str(row[1]) for row in described}
    for name, kind in found.items():
        if types.get(name) != kind and kind != NULL:
            raise ProgramError(
                f"column {name} is {types.get(name)} in DuckDB, not {kind}: a node's type is told wrongly"
            )


def _map(
    source: int, nodes: _Nodes, outputs: Sequence[int], *, joins: Sequence[Step] = (), where: int | None = None
) -> Step:
    return {
        "kind": "map",
        "from": source,
        "joins": list(joins),
        "nodes": nodes.nodes,
        "where": where,
        "outputs": list(outputs),
    }


def _sources(step: Step) -> list[int]:
    """Return the relations a step reads, in the order of their columns."""
    return [step["from"], *(join["to"] for join in step.get("joins", ()))]


def _melted(steps: Sequence[Step], tables: int) -> list[Step | None]:
    """Melt a map that only one other map reads, and reads first and alone, into that one; its place stays empty."""
    left: list[Step | None] = list(steps)
    readers = Counter(number for step in steps for number in _sources(step))
    for step in steps:
        number = step["from"] - tables
        inner = left[number] if number >= 0 else None
        if (
            step["kind"] != "map"
            or step["joins"]
            or inner is None
            or inner["kind"] != "map"
            or readers[step["from"]] > 1
        ):
            continue
        nodes = _Nodes()
        for node in inner["nodes"]:
            nodes.add(*node)
        places: list[int] = []
        for kind, of, arguments, constant in step["nodes"]:
            if kind == "column":
                places.append(inner["outputs"][constant])
            else:
                places.append(nodes.add(kind, of, [places[argument] for argument in arguments], constant))
        conditions = [
            condition
            for condition in (inner["where"], None if step["where"] is None else places[step["where"]])
            if condition is not None
        ]
        where = nodes.add("and", BOOLEAN, conditions) if len(conditions) > 1 else next(iter(conditions), None)
        outputs = [places[output] for output in step["outputs"]]
        step.update(_map(inner["from"], nodes, outputs, joins=inner["joins"], where=where))
        left[number] = None
    return left


def _pruned(steps: Sequence[Step | None], widths: Sequence[int]) -> list[Step]:
    """Leave out what no later step reads, and number what is left through."""
    tables = len(widths)
    last = max(place for place, step in enumerate(steps) if step is not None)
    needed: list[set[int]] = [set(range(width)) for width in widths] + [set() for _ in steps]
    final = steps[last]
    assert final is not None  # noqa: S101 - the last one is
    needed[tables + last] = set(range(len(final["outputs"])))
    sizes = [*widths, *([0] * len(steps))]
    for place, step in enumerate(steps):
        if step is not None:
            sizes[tables + place] = _size(step, sizes)
    used: set[int] = {last}
    for place in range(last, -1, -1):
        step = steps[place]
        if step is not None and place in used:
            for number, columns in _reads(step, needed[tables + place], sizes):
                needed[number] |= columns
                if number >= tables:
                    used.add(number - tables)
    for place in sorted(used):  # a group gives its keys, a window the columns of its source, asked for or not
        step, given = steps[place], needed[tables + place]
        if step is not None and step["kind"] == "group":
            given |= set(range(len(step["keys"])))
        elif step is not None and step["kind"] == "window":
            given |= needed[step["from"]]
    kept = [sorted(columns) for columns in needed]
    numbers = {number: number for number in range(tables)}
    pruned: list[Step] = []
    for place in sorted(used):
        step = steps[place]
        assert step is not None  # noqa: S101 - one that was melted away is read by nobody
        pruned.append(_renumbered(step, kept, kept[tables + place], numbers, sizes))
        numbers[tables + place] = tables + len(pruned) - 1
    return pruned


def _size(step: Step, sizes: Sequence[int]) -> int:
    if step["kind"] == "map":
        return len(step["outputs"])
    if step["kind"] == "group":
        return len(step["keys"]) + len(step["aggregates"])
    return sizes[step["from"]] + len(step["windows"])


def _reads(step: Step, needed: set[int], sizes: Sequence[int]) -> Iterable[tuple[int, set[int]]]:
    """Yield (relation, columns) that a step reads to give the needed ones of its own."""
    if step["kind"] == "group":
        keys = len(step["keys"])
        aggregates = [step["aggregates"][place - keys] for place in needed if place >= keys]
        yield step["from"], {*step["keys"], *(place for _, place, _ in aggregates if place is not None)}
    elif step["kind"] == "window":
        size = sizes[step["from"]]
        windows = [step["windows"][place - size] for place in needed if place >= size]
        read = {place for place in needed if place < size}
        for _, place, _, partition, order, _ in windows:
            read |= {*partition, *(column for column, _ in order), *([] if place is None else [place])}
        yield step["from"], read
    else:
        flat = _columns_of(step, [step["outputs"][place] for place in needed])
        start = 0
        for number in _sources(step):
            end = start + sizes[number]
            yield number, {place - start for place in flat if start <= place < end}
            start = end


def _columns_of(step: Step, outputs: Iterable[int]) -> set[int]:
    """Return the flat places of the columns that a map's outputs, filter and joins are made from."""
    nodes = step["nodes"]
    wanted = _with_arguments(nodes, [*outputs, *_conditions_of(step)])
    return {nodes[place][3] for place in wanted if nodes[place][0] == "column"}


def _conditions_of(step: Step) -> list[int]:
    places = [] if step["where"] is None else [step["where"]]
    for join in step["joins"]:
        places += [*join["left"], *join["right"], *([] if join["only"] is None else [join["only"]])]
    return places


def _with_arguments(nodes: Sequence[Node], places: Iterable[int]) -> set[int]:
    wanted = set(places)
    for place in range(len(nodes) - 1, -1, -1):
        if place in wanted:
            wanted.update(nodes[place][2])
    return wanted


def _renumbered(
    step: Step, kept: Sequence[Sequence[int]], mine: Sequence[int], numbers: Mapping[int, int], sizes: Sequence[int]
) -> Step:
    """Rewrite a step for the columns and relations that are left."""
    source = {old: new for new, old in enumerate(kept[step["from"]])}
    if step["kind"] == "group":
        keys = len(step["keys"])
        return {
            "kind": "group",
            "from": numbers[step["from"]],
            "keys": [source[place] for place in step["keys"]],
            "aggregates": [
                [function, None if place is None else source[place], of]
                for function, place, of in (step["aggregates"][own - keys] for own in mine if own >= keys)
            ],
        }
    if step["kind"] == "window":
        size = sizes[step["from"]]
        return {
            "kind": "window",
            "from": numbers[step["from"]],
            "windows": [
                [
                    function, None if place is None else source[place], offset, [source[column] for column in partition],
                    [[source[column], descending] for column, descending in order], of,
                ]
                for function, place, offset, partition, order, of in (step["windows"][own - size] for own in mine if own >= size)
            ],
        }  # fmt: skip
    flat: dict[int, int] = {}
    start = new_start = 0
    for number in _sources(step):
        flat |= {start + old: new_start + new for new, old in enumerate(kept[number])}
        start, new_start = start + sizes[number], new_start + len(kept[number])
    outputs = [step["outputs"][place] for place in mine]
    wanted = _with_arguments(step["nodes"], [*outputs, *_conditions_of(step)])
    new = {old: place for place, old in enumerate(sorted(wanted))}
    return {
        "kind": "map",
        "from": numbers[step["from"]],
        "joins": [
            {
                "to": numbers[join["to"]],
                "outer": join["outer"],
                "left": [new[place] for place in join["left"]],
                "right": [new[place] for place in join["right"]],
                "only": None if join["only"] is None else new[join["only"]],
            }
            for join in step["joins"]
        ],
        "nodes": [
            [kind, of, [new[argument] for argument in arguments], flat[constant] if kind == "column" else constant]
            for kind, of, arguments, constant in (step["nodes"][place] for place in sorted(wanted))
        ],
        "where": None if step["where"] is None else new[step["where"]],
        "outputs": [new[place] for place in outputs],
    }


class _Steps:
    """Walks queries; each becomes steps."""

    def __init__(self, tables: int) -> None:
        self._tables = tables
        self.steps: list[Step] = []

    def add(self, step: Step, columns: Mapping[str, tuple[int, str]]) -> _Relation:
        self.steps.append(step)
        return _Relation(self._tables + len(self.steps) - 1, columns)

    def query(self, query: exp.Expression, known: Mapping[str, _Relation]) -> _Relation:
        scope = dict(known)
        if (clause := query.args.get("with_") or query.args.get("with")) is not None:
            for cte in clause.expressions:
                scope[cte.alias.lower()] = self.query(cte.this, scope)
        if isinstance(query, exp.Subquery):
            return self.query(query.this, scope)
        if not isinstance(query, exp.Select):
            raise ProgramError(f"a {type(query).__name__} has no step; only SELECT has")
        if beyond := sorted(name for name, value in query.args.items() if value and name not in CLAUSES):
            raise ProgramError(f"a SELECT with {', '.join(beyond)} has no step")
        return _Select(self, query, scope).relation()


class _Select:
    """Writes one SELECT as steps."""

    def __init__(self, steps: _Steps, query: exp.Select, scope: Mapping[str, _Relation]) -> None:
        self._steps = steps
        self._query = query
        self._scope = scope
        self._nodes = _Nodes()
        self._aliases: dict[str, int] = {}  # of the same SELECT, further left
        self._columns: list[tuple[str, str, int]] = []  # (alias of the source, name, node)
        self._width = 0
        self._expression = _Expression(self._nodes, self._resolve)

    def relation(self) -> _Relation:
        clause = self._query.args.get("from_") or self._query.args.get("from")
        if clause is None:
            raise ProgramError("a SELECT without FROM has no step")
        source = self._source(clause.this)
        joins = [self._join(join) for join in self._query.args.get("joins") or []]
        where = self._query.args.get("where")
        condition = None if where is None else self._condition(where.this)
        items = [(item.alias_or_name.lower(), item.unalias()) for item in self._query.expressions]
        grouped = self._query.args.get("group") is not None or any(
            item.find(exp.AggFunc) for _, item in self._unwindowed(items)
        )
        windowed = any(item.find(exp.Window) for _, item in items)
        if grouped and windowed:
            raise ProgramError("a SELECT that groups and has windows has no step; split it")
        if grouped:
            return self._grouped(source, joins, condition, items)
        if windowed:
            return self._windowed(source, joins, condition, items)
        outputs = self._outputs(items, self._expression, self._nodes, self._aliases)
        step = _map(source.number, self._nodes, list(outputs.values()), joins=joins, where=condition)
        found = self._add(step, outputs, self._nodes)
        if self._query.args.get("distinct"):
            keys = list(range(len(outputs)))
            return self._steps.add(
                {"kind": "group", "from": found.number, "keys": keys, "aggregates": []}, found.columns
            )
        return found

    @staticmethod
    def _unwindowed(items: Sequence[tuple[str, exp.Expression]]) -> list[tuple[str, exp.Expression]]:
        return [(name, item) for name, item in items if item.find(exp.Window) is None]

    def _add(self, step: Step, outputs: Mapping[str, int], nodes: _Nodes) -> _Relation:
        columns = {name: (place, nodes.type_of(node)) for place, (name, node) in enumerate(outputs.items())}
        return self._steps.add(step, columns)

    @staticmethod
    def _outputs(
        items: Sequence[tuple[str, exp.Expression]], expression: "_Expression", nodes: _Nodes, aliases: dict[str, int]
    ) -> dict[str, int]:
        found: dict[str, int] = {}
        for name, item in items:
            if name in found:
                raise ProgramError(f"column {name} is there twice")
            found[name] = aliases[name] = nodes.typed(expression.place(item))
        return found

    def _source(self, part: exp.Expression) -> _Relation:
        """Take a relation's columns into the namespace."""
        if isinstance(part, exp.Subquery):
            relation = self._steps.query(part.this, self._scope)
        elif isinstance(part, exp.Table) and part.name.lower() in self._scope:
            relation = self._scope[part.name.lower()]
        else:
            raise ProgramError(f"FROM {part.sql('duckdb')[:60]} is no input and no query")
        alias = part.alias_or_name.lower()
        places = sorted((place, name, of) for name, (place, of) in relation.columns.items())
        for place, name, of in places:
            self._columns.append((alias, name, self._nodes.add("column", of, (), self._width + place)))
        self._width += len(places)
        return relation

    def _join(self, join: exp.Join) -> Step:
        side, kind, on = join.args.get("side") or "", join.args.get("kind") or "", join.args.get("on")
        if on is None or side.upper() not in ("", "LEFT") or kind.upper() not in ("", "INNER", "OUTER"):
            raise ProgramError(f"`{join.sql('duckdb')[:80]}` has no step; only INNER and LEFT JOIN … ON have")
        before = self._width
        relation = self._source(join.this)
        found: Step = {"to": relation.number, "outer": side.upper() == "LEFT", "left": [], "right": [], "only": None}
        for part in on.flatten() if isinstance(on, exp.And) else [on]:
            condition = self._condition(part)
            columns = self._columns_below(condition)
            if all(place >= before for place in columns):
                only = [] if found["only"] is None else [found["only"]]
                found["only"] = self._nodes.add("and", BOOLEAN, [*only, condition]) if only else condition
                continue
            kind_of, _, arguments, _ = self._nodes.nodes[condition]
            sides = [self._columns_below(argument) for argument in arguments]
            mine = [all(place >= before for place in columns) for columns in sides]
            theirs = [all(place < before for place in columns) for columns in sides]
            if kind_of != "eq" or not ((mine[0] and theirs[1]) or (mine[1] and theirs[0])):
                raise ProgramError(f"`{part.sql('duckdb')[:80]}` is no equality of both sides of a join")
            right, left = (arguments[0], arguments[1]) if mine[0] and theirs[1] else (arguments[1], arguments[0])
            found["left"].append(left)
            found["right"].append(right)
        if not found["left"]:
            raise ProgramError(f"`{join.sql('duckdb')[:80]}` joins by no equality")
        return found

    def _columns_below(self, place: int) -> set[int]:
        nodes = self._nodes.nodes
        return {nodes[below][3] for below in _with_arguments(nodes, [place]) if nodes[below][0] == "column"}

    def _condition(self, node: exp.Expression) -> int:
        place = self._expression.place(node)
        if self._nodes.type_of(place) != BOOLEAN:
            raise ProgramError(f"`{node.sql('duckdb')[:80]}` is no condition")
        return place

    def _resolve(self, column: exp.Column) -> int:
        name, table = column.name.lower(), column.table.lower()
        owners = [place for alias, known, place in self._columns if known == name and table in ("", alias)]
        if len(owners) > 1:
            raise ProgramError(f"column {column.sql('duckdb')} is in several inputs; qualify it")
        if owners:
            return owners[0]
        if not table and name in self._aliases:
            return self._aliases[name]
        raise ProgramError(f"column {column.sql('duckdb')} is in no input")

    # ---- GROUP BY

    def _grouped(
        self, source: _Relation, joins: Sequence[Step], where: int | None, items: Sequence[tuple[str, exp.Expression]]
    ) -> _Relation:
        group = self._query.args.get("group")
        if group is None or any(value for name, value in group.args.items() if name != "expressions"):
            raise ProgramError("aggregates without a plain GROUP BY have no step")
        if self._query.args.get("distinct"):
            raise ProgramError("DISTINCT beside GROUP BY has no step")
        keys = [self._nodes.typed(self._key(node, items)) for node in group.expressions]
        arguments: list[int] = []
        aggregates: dict[str, tuple[int, str]] = {}  # text -> (place, type)
        described: list[list[Any]] = []
        nodes = _Nodes()

        def special(node: exp.Expression) -> int | None:
            if isinstance(node, exp.AggFunc | exp.Filter):
                text = node.sql("duckdb")
                if text not in aggregates:
                    function, argument, of = self._aggregate(node)
                    if argument is not None and argument not in arguments:
                        arguments.append(argument)
                    aggregates[text] = len(keys) + len(described), of
                    described.append([function, argument, of])
                place, of = aggregates[text]
                return nodes.add("column", of, (), place)
            if isinstance(node, exp.Literal | exp.Null | exp.Boolean) or node.find(exp.AggFunc):
                return None
            place = self._expression.place(node)
            return nodes.add("column", self._nodes.type_of(place), (), keys.index(place)) if place in keys else None

        outputs = self._outputs(items, _Expression(nodes, self._not_grouped, special), nodes, {})
        before = [*keys, *arguments]
        inner = self._steps.add(_map(source.number, self._nodes, before, joins=joins, where=where), {})
        step = {
            "kind": "group",
            "from": inner.number,
            "keys": list(range(len(keys))),
            "aggregates": [
                [function, None if argument is None else len(keys) + arguments.index(argument), of]
                for function, argument, of in described
            ],
        }
        groups = self._steps.add(step, {})
        return self._add(_map(groups.number, nodes, list(outputs.values())), outputs, nodes)

    def _key(self, node: exp.Expression, items: Sequence[tuple[str, exp.Expression]]) -> int:
        if isinstance(node, exp.Literal):
            raise ProgramError("GROUP BY a number has no step; name the column")
        if isinstance(node, exp.Column) and not node.table:
            known = {name for _, name, _ in self._columns}
            named = dict(items)
            if node.name.lower() not in known and node.name.lower() in named:
                return self._expression.place(named[node.name.lower()])
        return self._expression.place(node)

    @staticmethod
    def _not_grouped(column: exp.Column) -> int:
        raise ProgramError(f"column {column.sql('duckdb')} is neither grouped by nor in an aggregate")

    def _aggregate(self, node: exp.Expression) -> tuple[str, int | None, str]:
        """Return an aggregate's function, the node it takes and its type."""
        condition = None
        if isinstance(node, exp.Filter):
            node, condition = node.this, node.expression.this
        argument = node.this
        distinct = isinstance(argument, exp.Distinct)
        if distinct:
            if len(argument.expressions) != 1:
                raise ProgramError(f"`{node.sql('duckdb')[:80]}` has no step")
            argument = argument.expressions[0]
        if isinstance(node, exp.Count) and isinstance(argument, exp.Star):
            if condition is None:
                return "rows", None, "BIGINT"
            place = self._nodes.add("literal", "INTEGER", (), 1)
        else:
            place = self._expression.place(argument)
        if condition is not None:
            null = self._nodes.cast(self._nodes.add("literal", NULL), self._nodes.type_of(place))
            place = self._nodes.add("case", self._nodes.type_of(place), (self._condition(condition), place, null))
        place = self._nodes.typed(place)
        of = self._nodes.type_of(place)
        if isinstance(node, exp.Count):
            return "count_distinct" if distinct else "count", place, "BIGINT"
        if isinstance(node, exp.Min | exp.Max) and of != NULL:
            return type(node).__name__.lower(), place, of
        if isinstance(node, exp.Sum) and not distinct:
            return "sum", place, _sum_type(of, node)
        raise ProgramError(f"`{node.sql('duckdb')[:80]}` has no step")

    # ---- windows

    def _windowed(
        self, source: _Relation, joins: Sequence[Step], where: int | None, items: Sequence[tuple[str, exp.Expression]]
    ) -> _Relation:
        """Yield all columns and what the windows need, then the windows, then the SELECT's own expressions over both."""
        before = [place for _, _, place in self._columns]
        windows: dict[str, tuple[int, str]] = {}
        described: list[list[Any]] = []
        nodes = _Nodes()

        def column_of(node: exp.Expression) -> int:
            place = self._nodes.typed(self._expression.place(node))
            if place not in before:
                before.append(place)
            return before.index(place)

        def special(node: exp.Expression) -> int | None:
            if not isinstance(node, exp.Window):
                return None
            text = node.sql("duckdb")
            if text not in windows:
                described.append(self._window(node, column_of))
                windows[text] = len(described) - 1, described[-1][-1]
            number, of = windows[text]
            return nodes.add("window", of, (), number)

        def resolve(column: exp.Column) -> int:
            name = column.name.lower()
            if not column.table and name in aliases and all(known != name for _, known, _ in self._columns):
                return aliases[name]
            place = self._resolve(column)
            return nodes.add("column", self._nodes.type_of(place), (), before.index(place))

        aliases: dict[str, int] = {}
        outputs = self._outputs(items, _Expression(nodes, resolve, special), nodes, aliases)
        inner = self._steps.add(_map(source.number, self._nodes, before, joins=joins, where=where), {})
        rows = self._steps.add({"kind": "window", "from": inner.number, "windows": described}, {})
        # a window's column stands behind those before it, which are counted only now
        placed = [
            ("column", of, arguments, len(before) + constant) if kind == "window" else (kind, of, arguments, constant)
            for kind, of, arguments, constant in nodes.nodes
        ]
        nodes.nodes[:] = placed
        return self._add(_map(rows.number, nodes, list(outputs.values())), outputs, nodes)

    def _window(self, node: exp.Window, column_of: Callable[[exp.Expression], int]) -> list[Any]:
        order = node.args.get("order")
        function = node.this
        if order is None or node.args.get("spec") is not None:
            raise ProgramError(f"`{node.sql('duckdb')[:80]}`: a window without ORDER BY, or with a frame, has no step")
        partition = [column_of(part) for part in node.args.get("partition_by") or []]
        ordered: list[list[Any]] = []
        for part in order.expressions:
            if part.args.get("nulls_first"):
                raise ProgramError(f"`{node.sql('duckdb')[:80]}`: NULLS FIRST has no step")
            place = column_of(part.this)
            ordered.append([place, bool(part.args.get("desc"))])
        if isinstance(function, exp.RowNumber):
            return ["row_number", None, 0, partition, ordered, "BIGINT"]
        if isinstance(function, exp.Lead | exp.Lag):
            offset = function.args.get("offset")
            if function.args.get("default") is not None or not (offset is None or isinstance(offset, exp.Literal)):
                raise ProgramError(f"`{node.sql('duckdb')[:80]}` has no step")
            steps = 1 if offset is None else int(offset.name)
            of = self._nodes.type_of(self._expression.place(function.this))
            name = "lead" if isinstance(function, exp.Lead) else "lag"
            return [name, column_of(function.this), steps, partition, ordered, of]
        if isinstance(function, exp.Sum):
            of = self._nodes.type_of(self._expression.place(function.this))
            return ["sum", column_of(function.this), 0, partition, ordered, _sum_type(of, function)]
        raise ProgramError(f"`{node.sql('duckdb')[:80]}` has no step")


def _fits(value: int, kind: str) -> bool:
    limit = 1 << (INTEGERS[kind] - 1)
    return -limit <= value < limit


def _sum_type(of: str, node: exp.Expression) -> str:
    if of in INTEGERS:
        return "HUGEINT"
    if (match := DECIMAL.fullmatch(of)) is not None:
        return f"DECIMAL({WIDEST},{match[2]})"
    if of == DOUBLE:  # `relations` sums whole numbers alone, which are exact in any order
        return DOUBLE
    raise ProgramError(f"`{node.sql('duckdb')[:80]}`: a sum of {of} has no step")


class _Expression:
    """Writes one expression as nodes; `special` may know better how a part of it is had."""

    def __init__(
        self, nodes: _Nodes, resolve: Resolve, special: Callable[[exp.Expression], int | None] = lambda _: None
    ) -> None:
        self._nodes = nodes
        self._resolve = resolve
        self._special = special

    def place(self, node: exp.Expression) -> int:
        """Return the place of an expression's node."""
        if (place := self._special(node)) is not None:
            return place
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
            exp.Column: self._resolve,
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
            exp.Mod: self._mod,
            exp.Like: self._like,
            exp.Cast: lambda node: self._cast(self.place(node.this), node.to.sql("duckdb")),
        }

    def _literal(self, node: exp.Literal) -> int:
        if node.is_string:
            return self._nodes.add("literal", VARCHAR, (), node.name)
        return self._number(node.name)

    def _number(self, text: str) -> int:
        if re.fullmatch(r"-?\d+", text):
            value = int(text)
            for kind in ("INTEGER", "BIGINT"):
                if _fits(value, kind):
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
        places = [place for place in places if self._nodes.type_of(place) != NULL]
        free = [self._nodes.type_of(place) for place in places if not self._nodes.is_literal(place)]
        if not free:
            free = [self._nodes.type_of(place) for place in places]
        widest = max(free, key=INTEGERS.__getitem__)
        literals = [self._nodes.nodes[place][3] for place in places if self._nodes.is_literal(place)]
        return next(
            kind
            for kind, bits in INTEGERS.items()
            if bits >= INTEGERS[widest] and all(_fits(v, kind) for v in literals)
        )

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
        width = min(max(width - scale for width, scale in sizes) + scale, WIDEST)
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

    def _mod(self, node: exp.Mod) -> int:
        left, right = self.place(node.this), self.place(node.expression)
        of = [self._nodes.type_of(place) for place in (left, right)]
        if not set(of) <= set(INTEGERS):
            raise ProgramError(f"`{node.sql('duckdb')[:80]}`: only whole numbers have a remainder here")
        return self._nodes.add("mod", self._integer([left, right]), (left, right))

    def _like(self, node: exp.Like) -> int:
        value, pattern = self.place(node.this), node.expression
        if not isinstance(pattern, exp.Literal) or self._nodes.type_of(value) != VARCHAR:
            raise ProgramError(f"`{node.sql('duckdb')[:80]}`: LIKE is known with a text alone")
        middle = pattern.name.strip("%")
        if set(middle) & set("%_\\") or "_" in pattern.name or not middle:
            raise ProgramError(f"`{node.sql('duckdb')[:80]}`: LIKE is known with % at the ends alone")
        return self._nodes.add("like", BOOLEAN, (value,), pattern.name)

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
        _, of, _, constant = self._nodes.nodes[place]
        if self._nodes.is_literal(place) and of in INTEGERS:
            return len(str(abs(constant))), 0
        if of in INTEGERS:
            return WHOLE_DIGITS[of], 0
        if (match := DECIMAL.fullmatch(of)) is None:
            raise ProgramError(f"arithmetic of a decimal with {of} has no node")
        return int(match[1]), int(match[2])
