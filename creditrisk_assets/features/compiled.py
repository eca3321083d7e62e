"""The expressions of a program compiled: each `map` of a bundle's plan as one flat Python function.

What belongs here: the closed set of node kinds with DuckDB's exact meaning (NULL, three-valued logic, 64-bit integers, decimals as
whole numbers, NaN above everything), reading the values of a request. What does not: SQL (`program` writes programs), grouping and
windows (`relations`), requests (`request`). The standard library only: the scoring service imports this.

A plan holds data, never code: the function's text is made here from node kinds and constants that are checked one by one. What a
function does not settle exactly as DuckDB would (a value of another type, an overflow, a logarithm of zero) raises `Odd`, or an error of
Python's own arithmetic; the caller then asks DuckDB, which has the last word.
"""

import itertools
import math
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

Values = Callable[[Callable[[str], Any]], tuple[Any, ...]]
Rows = list[tuple[Any, ...]]

WHOLE = {
    "TINYINT": 2**7,
    "SMALLINT": 2**15,
    "INTEGER": 2**31,
    "BIGINT": 2**63,
    "HUGEINT": 2**127,
}  # whole numbers and their limits
EXACT = 2**53  # whole numbers up to here are exact in a double; a row with a number beyond it is left to DuckDB
SETTLED = (
    2**50
)  # whole numbers up to here, divided by a power of ten, are the doubles of decimals, and come back when multiplied by it
USUAL = 2**24  # as is a row with an INTEGER beyond this, so that sums of many need no check for overflow
DEEPEST = 12  # nested parentheses of one expression
LONGEST = 400  # characters of one expression that may stand in several places
MOST_JOINS = 12  # Python nests twenty blocks
UNSETTLED = (
    ArithmeticError,
    ValueError,
    TypeError,
)  # what Python's arithmetic raises where DuckDB has a rule of its own
TYPE = re.compile(r"BOOLEAN|TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT|DOUBLE|VARCHAR|DECIMAL\((\d{1,2}),(\d{1,2})\)")
COMPARE = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
ARITHMETIC = {"add": "+", "sub": "-", "mul": "*"}
FUNCTIONS = {"sqrt": math.sqrt, "exp": math.exp, "ln": math.log, "log10": math.log10, "power": math.pow}
INFINITY = math.inf


class CompileError(ValueError):
    """A program holds what is not known here; the message names it."""


class Odd(Exception):  # noqa: N818 - no error: it asks for the other engine
    """The rows are left to DuckDB."""


class Known(NamedTuple):
    """What is known of a relation's column before any row is seen."""

    of: str
    low: float = -INFINITY
    high: float = INFINITY
    nan: bool = False
    nullable: bool = True


def compile_row(columns: Sequence[Sequence[str]], step: Mapping[str, Any]) -> tuple[Values, str]:
    """Compile a map over a table as a function of one row's `get`; return it and its text.

    Parameters
    ----------
    columns
        (name, type) of the table's columns; each is checked, used or not.
    step
        A map without joins and filter.

    Raises
    ------
    CompileError
        A node is of an unknown kind or type, or malformed.
    """
    text = _Text(1)
    known = [_load(text, f"c{place}", name, of) for place, (name, of) in enumerate(columns)]
    writer = _Writer(step, text, dict(enumerate(known)))
    outputs = [writer.output(place) for place in step["outputs"]]
    source = f"def values(get):\n{text}\n return ({', '.join(outputs)},)\n"
    return _function(source, "values"), source


def compile_scan(columns: Sequence[Sequence[str]]) -> tuple[Callable[[Iterable[Mapping[str, Any]]], Rows], list[Known]]:
    """Compile reading a table: rows by column name to checked tuples in the order of the columns."""
    text = _Text(2)
    known = [_load(text, f"c{place}", name, of) for place, (name, of) in enumerate(columns)]
    names = ", ".join(code.text for code in known)
    source = f"def scan(rows):\n out = []\n for row in rows:\n  get = row.get\n{text}\n  out.append(({names},))\n return out\n"
    return _function(source, "scan"), [
        Known(of, code.low, code.high) for code, (_, of) in zip(known, columns, strict=True)
    ]


def compile_map(step: Mapping[str, Any], sources: Sequence[Sequence[Known]]) -> tuple[Callable[..., Rows], list[Known]]:
    """Compile a map over relations.

    Parameters
    ----------
    step
        The map.
    sources
        What is known of the columns of the relation it starts from, and of each it joins.

    Returns
    -------
    tuple
        A function of the relations' rows, and what is known of its columns.

    Raises
    ------
    CompileError
        A node or a join is of an unknown kind or type, or malformed.
    """
    joins = step["joins"]
    if len(joins) > MOST_JOINS:
        raise CompileError(f"{len(joins)} joins in one step; this release knows {MOST_JOINS}")
    text = _Text(1)
    starts = [0, *itertools.accumulate(len(source) for source in sources)]
    columns: dict[int, _Code] = {}
    for number, (join, source, start) in enumerate(zip(joins, sources[1:], starts[1:], strict=False), 1):
        _write_index(text, step, join, number, source, start)
    text.add(f"for {_names(0, len(sources[0]))} in r0:")
    text.indent += 1
    columns.update(_columns(sources[0], 0, outer=False))
    writer = _Writer(step, text, columns)
    for number, (join, source, start) in enumerate(zip(joins, sources[1:], starts[1:], strict=False), 1):
        keys = [writer.atom(place) for place in join["left"]]
        text.add(f"for {_names(start, len(source))} in i{number}.get({_key(keys)}, n{number}):")
        text.indent += 1
        columns.update(_columns(source, start, outer=bool(join["outer"])))
    if step["where"] is not None:
        text.add(f"if not {writer.truth(step['where'])}: continue")
    outputs = [writer.output(place) for place in step["outputs"]]
    text.add(f"add(({', '.join(outputs)},))")
    arguments = ", ".join(f"r{number}" for number in range(len(sources)))
    source_text = f"def step({arguments}):\n out = []\n add = out.append\n{text}\n return out\n"
    return _function(source_text, "step"), [writer.known(place) for place in step["outputs"]]


def _write_index(
    text: "_Text", step: Mapping[str, Any], join: Mapping[str, Any], number: int, source: Sequence[Known], start: int
) -> None:
    """Write the rows of a joined relation by their key; a NULL equals nothing."""
    text.add(f"i{number} = {{}}")
    nobody = f"(({'None, ' * len(source)}),)" if join["outer"] else "()"
    text.add(f"n{number} = {nobody}")
    text.add(f"for row in r{number}:")
    text.indent += 1
    text.add(f"{_names(start, len(source))} = row")
    writer = _Writer(step, text, _columns(source, start, outer=False))
    if join["only"] is not None:
        text.add(f"if not {writer.truth(join['only'])}: continue")
    keys = [writer.atom(place) for place in join["right"]]
    if any(writer.known(place).nan for place in join["right"]):
        raise CompileError("a join by values that may be NaN is not known to this release")
    text.add(f"if {' or '.join(f'{key} is None' for key in keys)}: continue")
    text.add(f"i{number}.setdefault({_key(keys)}, []).append(row)")
    text.indent -= 1


def _names(start: int, count: int) -> str:
    return f"({''.join(f'c{place}, ' for place in range(start, start + count))})"


def _columns(source: Sequence[Known], start: int, *, outer: bool) -> "dict[int, _Code]":
    found = {}
    for place, column in enumerate(source, start):
        guards = (f"c{place} is not None",) if column.nullable or outer else ()
        found[place] = _Code(f"c{place}", guards, column.low, column.high, column.nan)
    return found


def _key(keys: Sequence[str]) -> str:
    return keys[0] if len(keys) == 1 else f"({', '.join(keys)})"


def _function(source: str, name: str) -> Any:
    namespace: dict[str, Any] = {"__builtins__": {}, **_NAMES}
    exec(compile(source, "<family>", "exec"), namespace)  # noqa: S102 - text made here from checked nodes
    return namespace[name]


class _Text:
    """The lines of a function, and names for its variables."""

    def __init__(self, indent: int) -> None:
        self.indent = indent
        self._lines: list[str] = []
        self._numbers: Iterator[int] = itertools.count()

    def add(self, line: str) -> None:
        """Add a line at the depth of the moment."""
        self._lines.append(" " * self.indent + line)

    def variable(self, value: str) -> str:
        """Give a value a name."""
        name = f"v{next(self._numbers)}"
        self.add(f"{name} = {value}")
        return name

    def __str__(self) -> str:
        return "\n".join(self._lines)


class _Code(NamedTuple):
    """An expression's text, what must hold for it to be evaluated (NULL otherwise), and what is known of its values."""

    text: str
    guards: tuple[str, ...] = ()
    low: float = -INFINITY
    high: float = INFINITY
    nan: bool = False  # it may be NaN
    whole: bool = False  # a double whose text yields a whole number of Python's
    raises: bool = False  # evaluating it may raise: it must not be passed over where DuckDB evaluates it
    depth: int = 0


class _Condition(NamedTuple):
    """When a boolean expression is true and when it is false; NULL is neither."""

    true: str
    false: str
    nullable: bool
    raises: bool = False
    depth: int = 0


class _Writer:
    """Writes the expressions of a step, as far as they are asked for; a node used twice becomes a local variable.

    Parameters
    ----------
    step
        The map: `nodes`, and where they are used.
    text
        Where lines go.
    columns
        Flat place -> code of the columns at hand; more may join later.
    """

    def __init__(self, step: Mapping[str, Any], text: _Text, columns: "Mapping[int, _Code]") -> None:
        self._nodes = [_checked(place, node) for place, node in enumerate(step["nodes"])]
        self._text = text
        self._columns = columns
        self._uses = [0] * len(self._nodes)
        used = [*step["outputs"], *([] if step["where"] is None else [step["where"]])]
        for join in step["joins"]:
            used += [*join["left"], *join["right"], *([] if join["only"] is None else [join["only"]])]
        for place in [*used, *(argument for _, _, arguments, _ in self._nodes for argument in arguments)]:
            if type(place) is not int or not 0 <= place < len(self._nodes):
                raise CompileError("a step uses a node that is not there")
            self._uses[place] += 1
        self._codes: dict[int, _Code | _Condition] = {}

    def output(self, place: int) -> str:
        """Return text that gives a node's value, None where it is NULL."""
        self._need(place)
        return self._complete(self._value(place))

    def atom(self, place: int) -> str:
        """Return a name or a constant for a node's value."""
        self._need(place)
        return self._atom(self._value(place)).text

    def truth(self, place: int) -> str:
        """Return text that is true where a condition is."""
        self._need(place)
        return self._condition(place).true

    def known(self, place: int) -> Known:
        """Tell what is known of a node that was written."""
        of, code = self._type(place), self._codes[place]
        if isinstance(code, _Condition):
            return Known(of, nullable=code.nullable)
        if "False" in code.guards:
            return Known(of, 0.0, 0.0)
        return Known(of, code.low, code.high, code.nan, bool(code.guards))

    def _need(self, place: int) -> None:
        """Write a node and what it is made of, arguments first."""
        wanted = {place}
        for below in range(place, -1, -1):
            if below in wanted and below not in self._codes:
                wanted.update(self._nodes[below][2])
        for below in sorted(wanted - self._codes.keys()):
            kind, of, arguments, constant = self._nodes[below]
            self._codes[below] = self._kept(self._write(kind, of, arguments, constant), self._uses[below])

    def _write(self, kind: str, of: str, arguments: Sequence[int], constant: Any) -> _Code | _Condition:
        if kind == "column":
            return self._column(constant)
        if kind == "literal":
            return _literal(of, constant)
        if kind in COMPARE:
            return self._compare(kind, arguments)
        if kind in ARITHMETIC:
            return self._arithmetic(kind, of, arguments)
        if kind in FUNCTIONS:
            return self._function(kind, arguments)
        writers: Mapping[str, Callable[[], _Code | _Condition]] = {
            "same": lambda: self._same(arguments, equal=True),
            "distinct": lambda: self._same(arguments, equal=False),
            "div": lambda: self._divide(arguments),
            "neg": lambda: self._negate(of, arguments),
            "abs": lambda: self._absolute(of, arguments),
            "round": lambda: self._round(of, arguments, constant),
            "floor": lambda: self._integral("floor", arguments),
            "ceil": lambda: self._integral("ceil", arguments),
            "cast": lambda: self._cast(of, arguments),
            "and": lambda: self._junction("and", arguments),
            "or": lambda: self._junction("or", arguments),
            "not": lambda: self._not(arguments),
            "is_null": lambda: self._is_null(arguments),
            "case": lambda: self._case(of, arguments),
            "coalesce": lambda: self._coalesce(of, arguments),
            "least": lambda: self._extreme("least", arguments),
            "greatest": lambda: self._extreme("greatest", arguments),
            "mod": lambda: self._remainder(arguments),
            "like": lambda: self._like(arguments, constant),
        }
        if kind not in writers:
            raise CompileError(f"node kind {kind!r} is not known to this release; the family is computed by DuckDB")
        return writers[kind]()

    # ---- text

    def _local(self, text: str) -> str:
        return self._text.variable(text)

    def _kept(self, code: _Code | _Condition, uses: int) -> _Code | _Condition:
        """Give an expression a name where it is used twice or has grown."""
        if isinstance(code, _Condition):
            longest = max(len(code.true), len(code.false))
            if _is_atom(code.true) or (uses < 2 and code.depth <= DEEPEST and longest <= LONGEST):
                return code
            return self._named_condition(code)
        if _is_atom(code.text) and all(guard in (code.text, f"{code.text} is not None") for guard in code.guards):
            return code
        return self._named(code) if uses > 1 or code.depth > DEEPEST or len(code.text) > LONGEST else code

    def _named_condition(self, code: _Condition) -> _Condition:
        name = self._local(self._boolean(code))
        return _Condition(name, f"({name} is False)" if code.nullable else f"(not {name})", code.nullable)

    def _named(self, code: _Code) -> _Code:
        name = self._local(self._complete(code))
        guards = (f"{name} is not None",) if code.guards else ()
        return _Code(name, guards, code.low, code.high, code.nan)

    def _atom(self, code: _Code) -> _Code:
        """Return an expression whose text is a name that is None where the expression is NULL, or a constant."""
        if _is_atom(code.text) and code.guards in ((), (f"{code.text} is not None",)) and not code.whole:
            return code
        return self._named(code)

    @staticmethod
    def _complete(code: _Code) -> str:
        """Return text that gives None where the expression is NULL."""
        text = f"float({code.text})" if code.whole else code.text
        if not code.guards or (code.guards == (f"{text} is not None",)):
            return text
        return f"({text} if {' and '.join(code.guards)} else None)"

    @staticmethod
    def _boolean(code: _Condition) -> str:
        """Return text that gives True, False or None."""
        if not code.nullable:
            return f"(True if {code.true} else False)"
        return f"(True if {code.true} else False if {code.false} else None)"

    def _value(self, place: int) -> _Code:
        """Return a node as a value."""
        code = self._codes[place]
        if isinstance(code, _Code):
            return code
        if _is_atom(code.true):
            return _Code(code.true, (f"{code.true} is not None",) if code.nullable else ())
        name = self._local(self._boolean(code))
        return _Code(name, (f"{name} is not None",) if code.nullable else ())

    def _condition(self, place: int) -> _Condition:
        """Return a node as a condition."""
        code = self._codes[place]
        if isinstance(code, _Condition):
            return code
        atom = self._atom(code)
        return _Condition(atom.text, f"({atom.text} is False)", bool(atom.guards))

    def _together(self, places: Sequence[int]) -> list[_Code]:
        """Return the arguments of a function that DuckDB evaluates all, though one be NULL."""
        codes = [self._value(place) for place in places]
        guards = _guards(*codes)
        return [self._named(code) if code.raises and set(guards) - set(code.guards) else code for code in codes]

    def _type(self, place: int) -> str:
        return self._nodes[place][1]

    def _scale(self, of: str) -> tuple[int, int]:
        match = TYPE.fullmatch(of)
        if match is None or match[1] is None:
            raise CompileError(f"{of} is no decimal")
        return int(match[1]), int(match[2])

    # ---- columns and constants

    def _column(self, place: Any) -> _Code:
        if place not in self._columns:
            raise CompileError("a column is not at hand where it is used")
        return self._columns[place]

    # ---- arithmetic

    def _arithmetic(self, kind: str, of: str, arguments: Sequence[int]) -> _Code:
        left, right = self._together(arguments)
        low, high, nan = _ranges(kind, left, right)
        if of == "DOUBLE" and left.whole and right.whole:
            left = left._replace(text=f"float({left.text})")
        text = f"({left.text} {ARITHMETIC[kind]} {right.text})"
        depth = max(left.depth, right.depth) + 1
        raises = left.raises or right.raises
        code = _Code(text, _guards(left, right), low, high, nan and of == "DOUBLE", raises=raises, depth=depth)
        return self._within(code, of)

    def _within(self, code: _Code, of: str) -> _Code:
        """Check a whole number against its type's range, where it could leave it."""
        if of == "DOUBLE":
            return code
        limit = WHOLE.get(of) or 10 ** self._scale(of)[0]
        if -limit < code.low and code.high < limit:
            return code
        text = f"within({code.text}, {limit})"
        return code._replace(text=text, low=float(-limit), high=float(limit), raises=True, depth=code.depth + 1)

    def _divide(self, arguments: Sequence[int]) -> _Code:
        left, right = self._together(arguments)
        nan = left.nan or right.nan or (_unbounded(left) and _unbounded(right))
        low = 0.0 if left.low >= 0 and right.low >= 0 else -INFINITY
        raises = (
            left.raises or right.raises or right.text not in right.guards
        )  # a guard that is the divisor: it is not 0
        text = f"({left.text} / {right.text})"  # of two exact whole numbers: rounded once, as the quotient of their doubles is
        depth = max(left.depth, right.depth) + 1
        return _Code(text, _guards(left, right), low, INFINITY, nan, raises=raises, depth=depth)

    def _remainder(self, arguments: Sequence[int]) -> _Code:
        code, divisor = self._value(arguments[0]), self._nodes[arguments[1]]
        if divisor[0] != "literal" or type(divisor[3]) is not int or divisor[3] <= 0:
            raise CompileError("a remainder by anything but a positive constant is not known to this release")
        text = f"({code.text} % {divisor[3]})" if code.low >= 0 else f"remainder({code.text}, {divisor[3]})"
        low = 0.0 if code.low >= 0 else float(-divisor[3])
        return code._replace(text=text, low=low, high=float(divisor[3]), depth=code.depth + 1)

    def _negate(self, of: str, arguments: Sequence[int]) -> _Code:
        code = self._value(arguments[0])
        negated = code._replace(text=f"(-{code.text})", low=-code.high, high=-code.low, depth=code.depth + 1)
        return self._within(negated, of)

    def _absolute(self, of: str, arguments: Sequence[int]) -> _Code:
        code = self._value(arguments[0])
        high = max(abs(code.low), abs(code.high))
        return self._within(code._replace(text=f"abs({code.text})", low=0.0, high=high, depth=code.depth + 1), of)

    def _round(self, of: str, arguments: Sequence[int], digits: Any) -> _Code:
        if not isinstance(digits, int) or not 0 <= digits <= 38:
            raise CompileError("round has no digits")
        code = self._value(arguments[0])
        if of == "DOUBLE":
            text = f"round_double({code.text}, {10.0**digits!r})"
            return _Code(text, code.guards, raises=True, depth=code.depth + 1)
        return self._shrunk(code, self._scale(self._type(arguments[0]))[1] - digits, of)

    def _shrunk(self, code: _Code, digits: int, of: str) -> _Code:
        """Drop decimals of a decimal, half away from zero."""
        text = f"shrink({code.text}, {10**digits})"
        low, high = (bound / 10**digits for bound in (code.low - 10**digits, code.high + 10**digits))
        return self._within(code._replace(text=text, low=low, high=high, depth=code.depth + 1), of)

    def _integral(self, kind: str, arguments: Sequence[int]) -> _Code:
        code = self._value(arguments[0])
        text = f"{kind}_double({code.text})"
        return _Code(text, code.guards, code.low - 1, code.high + 1, raises=True, depth=code.depth + 1)

    def _function(self, kind: str, arguments: Sequence[int]) -> _Code:
        codes = self._together(arguments)
        text = f"{kind}({', '.join(code.text for code in codes)})"
        low = 0.0 if kind in ("sqrt", "exp") else -INFINITY
        nan = any(map(_unbounded, codes))
        depth = max(code.depth for code in codes) + 1
        return _Code(text, _guards(*codes), low, INFINITY, nan, raises=True, depth=depth)

    def _cast(self, of: str, arguments: Sequence[int]) -> _Code:
        was = self._type(arguments[0])
        if was == "BOOLEAN":
            return self._cast_boolean(of, arguments[0])
        if (rounded := self._cast_rounded(of, arguments[0])) is not None:
            return rounded
        code = self._value(arguments[0])
        if was == of:
            return code
        deeper = code._replace(depth=code.depth + 1)
        if was == "DOUBLE":
            return self._cast_double(deeper, of)
        if was not in WHOLE:
            return self._cast_decimal(deeper, was, of)
        if of in WHOLE:
            return self._within(code, of)
        if of.startswith("DECIMAL"):
            return self._grown(deeper, self._scale(of)[1], of)
        if code.low >= -EXACT and code.high <= EXACT:
            return code._replace(whole=True)
        return deeper._replace(text=f"exact({code.text})", whole=True, raises=True)

    def _cast_rounded(self, of: str, place: int) -> _Code | None:
        """Write what every raw number goes through in one call: `cast(round(x) as …)`, or `cast(round(x) / 1000 as decimal(…, 3))`."""
        if of in WHOLE:
            limit = WHOLE[of]
        elif of.startswith("DECIMAL") and self._nodes[place][0] == "div":
            width, scale = self._scale(of)
            place, divisor = self._nodes[place][2]
            if self._nodes[divisor][0] != "literal" or self._nodes[divisor][3] != 10**scale:
                return None
            limit = min(10**width, SETTLED)
        else:
            return None
        kind, was, arguments, digits = self._nodes[place]
        if kind != "round" or was != "DOUBLE" or digits != 0:
            return None
        code = self._value(arguments[0])
        text, bound = f"nearest({code.text}, {limit})", float(limit)
        return _Code(
            text, code.guards, max(code.low - 1, -bound), min(code.high + 1, bound), raises=True, depth=code.depth + 1
        )

    def _cast_double(self, code: _Code, of: str) -> _Code:
        if of in WHOLE:
            limit = WHOLE[of]
            if code.whole:
                return self._within(code._replace(whole=False), of)
            if -limit < code.low and code.high < limit and not code.nan:
                return code._replace(text=f"round({code.text})", low=code.low - 1, high=code.high + 1)
            text = f"whole({code.text}, {limit})"
            return _Code(text, code.guards, float(-limit), float(limit), raises=True, depth=code.depth)
        width, scale = self._scale(of)
        text = f"to_decimal({code.text}, {float(10**scale)!r}, {10**width})"
        return _Code(text, code.guards, -(10.0**width), 10.0**width, raises=True, depth=code.depth)

    def _cast_boolean(self, of: str, place: int) -> _Code:
        condition = self._condition(place)
        one, zero = {"DOUBLE": ("1.0", "0.0"), "BOOLEAN": ("True", "False")}.get(
            of, ("1", "0") if of in WHOLE else ("", "")
        )
        if not one:
            raise CompileError(f"cast of BOOLEAN to {of} is not known to this release")
        if not condition.nullable:
            text, depth = f"({one} if {condition.true} else {zero})", condition.depth + 1
            return _Code(text, (), 0.0, 1.0, raises=condition.raises, depth=depth)
        name = self._local(f"({one} if {condition.true} else {zero} if {condition.false} else None)")
        return _Code(name, (f"{name} is not None",), 0.0, 1.0)

    def _cast_decimal(self, code: _Code, was: str, of: str) -> _Code:
        _, scale = self._scale(was)
        if of == "DOUBLE":
            factor = float(10**scale)
            low, high = code.low / factor, code.high / factor
            if code.low >= -EXACT and code.high <= EXACT:
                return code._replace(text=f"({code.text} / {factor!r})", low=low, high=high)
            return code._replace(text=f"decimal_double({code.text}, {10**scale})", low=low, high=high, raises=True)
        if of in WHOLE:
            return self._shrunk(code, scale, of)
        if not of.startswith("DECIMAL"):
            raise CompileError(f"cast of {was} to {of} is not known to this release")
        wanted = self._scale(of)[1]
        return self._grown(code, wanted - scale, of) if wanted >= scale else self._shrunk(code, scale - wanted, of)

    def _grown(self, code: _Code, digits: int, of: str) -> _Code:
        """Add decimals to a decimal or a whole number."""
        factor = 10**digits
        text = code.text if digits == 0 else f"({code.text} * {factor})"
        return self._within(code._replace(text=text, low=code.low * factor, high=code.high * factor), of)

    # ---- conditions

    def _compare(self, kind: str, arguments: Sequence[int]) -> _Condition:
        left, right = self._together(arguments)
        guards, raises = _guards(left, right), left.raises or right.raises
        depth = max(left.depth, right.depth) + 1
        if left.nan or right.nan:  # NaN equals NaN and is above everything else
            text = f"{kind}_total({left.text}, {right.text})"
        else:
            text = f"{left.text} {COMPARE[kind]} {right.text}"
            constant = self._is_constant(arguments[1]) and _is_atom(left.text)
            if kind == "eq" and constant and guards == (f"{left.text} is not None",):
                return _Condition(
                    f"({text})", f"({guards[0]} and not {text})", True, depth=depth
                )  # None equals no constant
        conditions = " and ".join([*guards, text])
        return _Condition(f"({conditions})", f"({' and '.join([*guards, f'not {text}'])})", bool(guards), raises, depth)

    def _like(self, arguments: Sequence[int], pattern: Any) -> _Condition:
        if type(pattern) is not str:
            raise CompileError("a pattern is no text")
        code = self._atom(self._value(arguments[0]))
        middle = pattern.strip("%")
        if not middle or "%" in middle or "_" in middle:
            raise CompileError("a pattern with more than % at its ends is not known to this release")
        ends = pattern.startswith("%"), pattern.endswith("%")
        found = {
            (False, False): f"{code.text} == {middle!r}",
            (True, False): f"{code.text}.endswith({middle!r})",
            (False, True): f"{code.text}.startswith({middle!r})",
            (True, True): f"{middle!r} in {code.text}",
        }[ends]
        there = "".join(f"{guard} and " for guard in code.guards)
        return _Condition(f"({there}{found})", f"({there}not {found})", bool(code.guards))

    def _is_constant(self, place: int) -> bool:
        return self._nodes[place][0] == "literal" and self._nodes[place][3] is not None

    def _same(self, arguments: Sequence[int], *, equal: bool) -> _Condition:
        left, right = (self._atom(self._value(place)) for place in arguments)
        if left.nan or right.nan:
            raise CompileError("IS DISTINCT FROM with values that may be NaN is not known to this release")
        same, other = f"({left.text} == {right.text})", f"({left.text} != {right.text})"
        return _Condition(same, other, False) if equal else _Condition(other, same, False)

    def _junction(self, kind: str, arguments: Sequence[int]) -> _Condition:
        parts = [self._condition(place) for place in arguments]
        parts = [self._named_condition(part) if part.raises else part for part in parts]
        other = "or" if kind == "and" else "and"
        return _Condition(
            f"({f' {kind} '.join(part.true for part in parts)})",
            f"({f' {other} '.join(part.false for part in parts)})",
            any(part.nullable for part in parts),
            depth=max(part.depth for part in parts) + 1,
        )

    def _not(self, arguments: Sequence[int]) -> _Condition:
        condition = self._condition(arguments[0])
        return condition._replace(true=condition.false, false=condition.true)

    def _is_null(self, arguments: Sequence[int]) -> _Condition:
        code = self._codes[arguments[0]]
        if isinstance(code, _Condition):
            code = self._value(arguments[0])
        if code.raises:
            code = self._named(code)
        if not code.guards:
            return _Condition("False", "True", False)
        if code.guards == (f"{code.text} is not None",):
            return _Condition(f"({code.text} is None)", f"({code.text} is not None)", False)
        there = " and ".join(code.guards)
        return _Condition(f"(not ({there}))", f"({there})", False, depth=code.depth + 1)

    # ---- choices

    def _case(self, of: str, arguments: Sequence[int]) -> _Code:
        if len(arguments) % 2 == 0:
            raise CompileError("a case has no last value")
        if (fused := self._nullif(arguments)) is not None:
            return fused
        conditions = [self._condition(place) for place in arguments[:-1:2]]
        places = [*arguments[1:-1:2], arguments[-1]]
        codes = [self._value(place) for place in places]
        low, high = min(code.low for code in codes), max(code.high for code in codes)
        nan = any(code.nan for code in codes)
        depth = max([*(code.depth for code in codes), *(condition.depth for condition in conditions)]) + 1
        last_is_null = self._nodes[places[-1]][0] == "literal" and self._nodes[places[-1]][3] is None
        raises = any(code.raises for code in codes) or any(condition.raises for condition in conditions)
        if len(conditions) == 1 and last_is_null:
            guards = tuple(dict.fromkeys((conditions[0].true, *codes[0].guards)))
            return codes[0]._replace(guards=guards, raises=raises, depth=depth)
        text = " else ".join(
            [
                *(
                    f"{self._complete(code)} if {condition.true}"
                    for code, condition in zip(codes, conditions, strict=False)
                ),
                self._complete(codes[-1]),
            ]
        )
        nullable = any(code.guards for code in codes)
        return self._chosen(_Code(f"({text})", ("",) * nullable, low, high, nan, raises=raises, depth=depth))

    def _chosen(self, code: _Code) -> _Code:
        """Give a choice that may be NULL (its text gives None then) a name."""
        if not code.guards:
            return code
        name = self._local(code.text)
        return _Code(name, (f"{name} is not None",), code.low, code.high, code.nan)

    def _nullif(self, arguments: Sequence[int]) -> _Code | None:
        """Write `case when x = 0 then null else x end` as x, which is there where it is true."""
        if len(arguments) != 3:
            return None
        kind, _, compared, _ = self._nodes[arguments[0]]
        null = self._nodes[arguments[1]]
        if kind != "eq" or null[0] != "literal" or null[3] is not None:
            return None
        value, zero = arguments[2], self._nodes[compared[1]]
        if zero[0] != "literal" or zero[3] is None or zero[3] != 0 or compared[0] not in (value, *self._doubled(value)):
            return None
        if self._type(value) not in ("DOUBLE", *WHOLE):
            return None
        code = self._value(value)
        atom = self._atom(code) if not _is_atom(code.text) or len(code.guards) > 1 else code
        return atom._replace(guards=(atom.text,))

    def _doubled(self, value: int) -> tuple[int, ...]:
        """Places of the casts of a value to double."""
        return tuple(
            place for place, (kind, of, args, _) in enumerate(self._nodes) if place in self._codes
            and kind == "cast" and of == "DOUBLE" and tuple(args) == (value,)
        )  # fmt: skip

    def _coalesce(self, of: str, arguments: Sequence[int]) -> _Code:
        codes = [self._value(place) for place in arguments]
        until = next((place for place, code in enumerate(codes) if not code.guards), len(codes) - 1)
        codes = codes[: until + 1]
        parts = [
            f"{self._complete(code._replace(guards=()))} if {' and '.join(code.guards)} else " for code in codes[:-1]
        ]
        text = f"({''.join(parts)}{self._complete(codes[-1])})"
        low, high = min(code.low for code in codes), max(code.high for code in codes)
        nan, raises = any(code.nan for code in codes), any(code.raises for code in codes)
        depth = max(code.depth for code in codes) + 1
        return self._chosen(_Code(text, codes[-1].guards, low, high, nan, raises=raises, depth=depth))

    def _extreme(self, kind: str, arguments: Sequence[int]) -> _Code:
        codes = [self._value(place) for place in arguments]
        nullable = all(code.guards for code in codes)
        suffix = "_total" if any(code.nan for code in codes) else ""
        texts = ", ".join(self._complete(code) for code in codes)
        low, high = min(code.low for code in codes), max(code.high for code in codes)
        raises, depth = any(code.raises for code in codes), max(code.depth for code in codes) + 1
        code = _Code(f"{kind}{suffix}({texts})", ("",) * nullable, low, high, bool(suffix), raises=raises, depth=depth)
        return self._chosen(code)


def _checked(place: int, node: Any) -> tuple[str, str, tuple[int, ...], Any]:
    """Check a node's form; what stands for code later is checked here."""
    try:
        kind, of, arguments, constant = node
        sound = (
            isinstance(kind, str) and isinstance(of, str) and TYPE.fullmatch(of) is not None
            and all(type(argument) is int and 0 <= argument < place for argument in arguments)
            and (constant is None or type(constant) in (bool, int, float, str))
        )  # fmt: skip
    except (TypeError, ValueError):
        sound = False
    if not sound:
        raise CompileError(f"node {place} of the program is malformed")
    return kind, of, tuple(arguments), constant


def _literal(of: str, constant: Any) -> _Code | _Condition:
    if constant is None:
        return _Code("None", ("False",), INFINITY, -INFINITY)  # no value at all: it widens no range
    if type(constant) is bool and of == "BOOLEAN":
        return _Condition(str(constant), str(not constant), False)
    if type(constant) is str and of == "VARCHAR":
        return _Code(repr(constant))
    if (type(constant) is float and of == "DOUBLE" and math.isfinite(constant)) or (
        type(constant) is int and of in WHOLE
    ):
        text = repr(constant)
        return _Code(text if constant >= 0 else f"({text})", (), float(constant), float(constant))
    raise CompileError(f"a constant is no {of}")


def _load(text: _Text, local: str, name: str, of: str) -> _Code:
    """Write reading one value of a row: a value that is not of its column's type is left to DuckDB, NaN is unknown."""
    if type(name) is not str:
        raise CompileError("a column has no name")
    text.add(f"{local} = get({name!r})")
    if of == "DOUBLE":
        text.add(f"if {local} is not None:")
        text.add(f" if {local}.__class__ is not float: {local} = as_double({local})")
        text.add(f" if not -{EXACT}.0 < {local} < {EXACT}.0: {local} = unusual({local})")
        return _Code(local, (f"{local} is not None",), float(-EXACT), float(EXACT))
    if of in ("INTEGER", "BIGINT"):
        limit = USUAL if of == "INTEGER" else EXACT
        text.add(f"if {local} is not None and ({local}.__class__ is not int or not -{limit} < {local} < {limit}):")
        text.add(f" {local} = as_whole({local}, {limit})")
        return _Code(local, (f"{local} is not None",), float(-limit), float(limit))
    if of == "VARCHAR":
        text.add(f"if {local} is not None and ({local}.__class__ is not str or not {local}.isascii()): odd()")
    elif of == "BOOLEAN":
        text.add(f"if {local} is not None and {local}.__class__ is not bool: odd()")
    else:
        raise CompileError(f"column {name} is of type {of}, which is not known to this release")
    return _Code(local, (f"{local} is not None",))


def _guards(*codes: _Code) -> tuple[str, ...]:
    return tuple(dict.fromkeys(guard for code in codes for guard in code.guards))


def _is_atom(text: str) -> bool:
    return text.isidentifier() or text.replace(".", "", 1).isdigit()


def _unbounded(code: _Code) -> bool:
    return code.nan or not (code.low > -INFINITY and code.high < INFINITY)


def _ranges(kind: str, left: _Code, right: _Code) -> tuple[float, float, bool]:
    """Bound a sum, difference or product, with room for rounding; tell whether it may be NaN."""
    nan = left.nan or right.nan
    if "False" in (*left.guards, *right.guards):
        return 0.0, 0.0, False
    if kind == "mul":
        ends = [a * b for a in (left.low, left.high) for b in (right.low, right.high)]
        if _unbounded(left) or _unbounded(right):
            return -INFINITY, INFINITY, True
        low, high = min(ends), max(ends)
    else:
        if kind == "sub":
            right = right._replace(low=-right.high, high=-right.low)
        nan = (
            nan
            or (left.low == -INFINITY and right.high == INFINITY)
            or (left.high == INFINITY and right.low == -INFINITY)
        )
        if nan:
            return -INFINITY, INFINITY, True
        low, high = left.low + right.low, left.high + right.high
    room = 1 + 1e-12
    return low * room if low < 0 else low / room, high * room if high > 0 else high / room, nan


# ---- what the function's text calls


def _odd() -> None:
    raise Odd


def _as_double(value: Any) -> float:
    if value.__class__ is int and -EXACT < value < EXACT:
        return float(value)
    raise Odd


def _unusual(value: float) -> None:
    """NaN is unknown; anything else out of range is DuckDB's to judge."""
    if value == value:  # noqa: PLR0124 - NaN is the one value unequal to itself
        raise Odd


def _as_whole(value: Any, limit: int) -> int | None:
    if value.__class__ is float:
        if value != value:  # noqa: PLR0124
            return None
        if value.is_integer() and -limit < value < limit:
            return int(value)
    raise Odd


def _within(value: int, limit: int) -> int:
    if -limit < value < limit:
        return value
    raise Odd


def _exact(value: int) -> int:
    return _within(value, EXACT + 1)


def _whole(value: float, limit: int) -> int:
    return _within(round(value), limit)  # half to even; NaN and infinity raise


def _away(value: float) -> float:
    """Round half away from zero, as C does."""
    whole = float(int(value))
    if abs(value - whole) >= 0.5:
        whole += math.copysign(1.0, value)
    return math.copysign(whole, value)


def _nearest(value: float, limit: int) -> int:
    """Round half away from zero to a whole number; NaN and infinity raise."""
    whole = int(value)
    rest = value - whole
    if not -0.5 < rest < 0.5:
        whole += 1 if value > 0 else -1
    if -limit < whole < limit:
        return whole
    raise Odd


def _round_double(value: float, factor: float) -> float:
    if not -EXACT < value < EXACT:
        raise Odd
    return _away(value * factor) / factor


def _decimal_double(value: int, factor: int) -> float:
    """Convert a decimal as DuckDB does: whole part and decimals apart where the number is too long for a double."""
    if -EXACT <= value <= EXACT:
        return value / float(factor)
    whole, rest = divmod(abs(value), factor)
    if whole > EXACT or rest > EXACT:
        raise Odd
    found = float(whole) + float(rest) / float(factor)
    return -found if value < 0 else found


def _remainder(value: int, divisor: int) -> int:
    return value % divisor if value >= 0 else -(-value % divisor)


def _to_decimal(value: float, factor: float, limit: int) -> int:
    return _within(int(_away(value * factor)), limit)


def _shrink(value: int, factor: int) -> int:
    """Divide a whole number, half away from zero."""
    half = factor // 2
    return (value + half) // factor if value >= 0 else -((half - value) // factor)


def _floor(value: float) -> float:
    return math.copysign(float(math.floor(value)), value)


def _ceil(value: float) -> float:
    return math.copysign(float(math.ceil(value)), value)


def _total(value: float) -> tuple[bool, float]:
    """Order with NaN equal to itself and above everything."""
    nan = value != value  # noqa: PLR0124
    return (nan, 0.0 if nan else value)


def _by_total_order(kind: str) -> Callable[[float, float], bool]:
    compare: Callable[[Any, Any], bool] = getattr(operator, kind)
    return lambda left, right: compare(_total(left), _total(right))


def _least(*values: Any) -> Any:
    return min([value for value in values if value is not None], default=None)


def _greatest(*values: Any) -> Any:
    return max([value for value in values if value is not None], default=None)


def _least_total(*values: Any) -> Any:
    return min([value for value in values if value is not None], default=None, key=_total)


def _greatest_total(*values: Any) -> Any:
    return max([value for value in values if value is not None], default=None, key=_total)


_NAMES: Mapping[str, Any] = {
    "odd": _odd, "as_double": _as_double, "as_whole": _as_whole, "unusual": _unusual, "within": _within, "exact": _exact,
    "whole": _whole, "nearest": _nearest, "round_double": _round_double, "to_decimal": _to_decimal, "decimal_double": _decimal_double,
    "shrink": _shrink, "remainder": _remainder, "floor_double": _floor, "ceil_double": _ceil,
    "least": _least, "greatest": _greatest, "least_total": _least_total, "greatest_total": _greatest_total,
    **{f"{kind}_total": _by_total_order(kind) for kind in COMPARE},
    **{of.__name__: of for of in (bool, float, int, str)}, "abs": abs, "round": round, **FUNCTIONS,
}  # fmt: skip
