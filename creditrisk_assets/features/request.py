"""The request path: the families' own SQL, computed for the applications in one request.

What belongs here: running the plan of a model bundle on rows that a caller sent, in this process. What does not: whole tables
(`engine`), validating what was sent (`creditrisk_serving`), encoding for the model (`modelling.bundle`). DuckDB and the standard
library only: the scoring service imports this.

A family whose plan carries a program runs as compiled functions, held against what its SQL gives when they are loaded; what they leave
open, and a family without a program, DuckDB computes from the same SQL.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from queue import Empty, LifoQueue
from typing import Any

from creditrisk_assets.features.compiled import UNSETTLED, CompileError, Odd
from creditrisk_assets.features.proof import Proof
from creditrisk_assets.features.relations import CompiledFamily, compile_family
from creditrisk_assets.features.statement import KEY
from creditrisk_assets.features.worker import RequestError, Row, Values, Worker

APPLICATION = "application"
APPLICATION_KEY = "SK_ID_CURR"


class RequestFeatures:
    """Compute features for the applications in a request.

    Statements are prepared once per worker, when one is first needed (half a second, 70 MB); a worker is an in-memory database of its
    own that serves one call at a time, so calls from several threads do not meet. A call's rows live in a transaction that is rolled
    back: nothing of an applicant stays behind.

    Parameters
    ----------
    plan
        `plan.json` of a model bundle (`features.plan.render_plan`).
    threads
        Threads of each worker. One is fastest for a handful of applicants.

    Attributes
    ----------
    interpreted
        Families that could be compiled but are not -> why; DuckDB computes them.

    Examples
    --------
    >>> plan = {
    ...     "families": {"application": {"inputs": ["application"], "columns": [["application__credit_amt", "DOUBLE"]],
    ...         "sql": "select sk_id_curr, amt_credit as application__credit_amt from application"}},
    ...     "presence": {},
    ...     "tables": {"application": {"columns": [{"name": "SK_ID_CURR", "sql_type": "BIGINT"},
    ...         {"name": "AMT_CREDIT", "sql_type": "DOUBLE"}]}},
    ... }
    >>> RequestFeatures(plan).compute([{"SK_ID_CURR": 7, "AMT_CREDIT": 2.5}, {"SK_ID_CURR": 3}], {})
    {'sk_id_curr': [7, 3], 'application__credit_amt': [2.5, None]}
    """

    def __init__(self, plan: Mapping[str, Any], threads: int = 1) -> None:
        self._plan = plan
        self._threads = threads
        self._idle: LifoQueue[Worker] = LifoQueue()
        self._names = {
            name: tuple(column for column, _ in family["columns"]) for name, family in plan["families"].items()
        }
        self._compiled: dict[str, CompiledFamily] = {}
        self.interpreted: dict[str, str] = {}
        proof = Proof(plan) if any("program" in family for family in plan["families"].values()) else None
        for name, family in plan["families"].items():
            if proof is not None and "program" in family:
                self._compile(name, family["sql"], family["program"], proof)
            elif "no_program" in family:
                self.interpreted[name] = family["no_program"]

    def _compile(self, name: str, sql: str, program: Mapping[str, Any], proof: Proof) -> None:
        """Compile a family and hold it against its proof; a family that fails is left to DuckDB."""
        if program.get("sql_sha256") != hashlib.sha256(sql.encode()).hexdigest():
            self.interpreted[name] = "the plan's program is of another SQL"
            return
        try:
            family = compile_family(program)
        except CompileError as error:
            self.interpreted[name] = str(error)
            return
        if (problem := proof.difference(name, family)) is not None:
            self.interpreted[name] = problem
            return
        self._compiled[name] = family

    def compute(self, applications: Sequence[Row], histories: Mapping[str, Sequence[Row]]) -> dict[str, list[Any]]:
        """Compute every family.

        Parameters
        ----------
        applications
            Raw application rows by column name, each `SK_ID_CURR` once. A column that is missing is NULL.
        histories
            Raw table name to rows of any of these applicants (of any of their credits, for `bureau_balance`). A table that was not
            sent is empty.

        Returns
        -------
        dict
            `sk_id_curr` and every feature of the joined table, one entry per application in the order given. An applicant without
            rows in a family has None in its features and False in its `applicant__has_…`.

        Raises
        ------
        RequestError
            An application lacks its key or shares it with another, a table is not one the plan reads, or a value is not of its
            column's type.
        """
        return self._compute(applications, histories, tuple(self._plan["families"]))

    def compute_application(self, applications: Sequence[Row]) -> dict[str, list[Any]]:
        """Compute the application family alone; arguments, result and errors as for `compute`."""
        return self._compute(applications, {}, (APPLICATION,))

    def families(
        self, applications: Sequence[Row], histories: Mapping[str, Sequence[Row]]
    ) -> dict[str, dict[int, Values]]:
        """Compute every family as it is: arguments and errors as for `compute`.

        Returns
        -------
        dict
            Family -> applicant -> its features in the plan's order; an applicant without rows in a family is not in it.
        """
        return self._found(_keys(applications), applications, histories, tuple(self._plan["families"]))

    def settled(self, application: Row) -> Values | None:
        """Compute the application family of one application by its compiled functions alone, in microseconds.

        Returns
        -------
        tuple or None
            Its features in the plan's order; None where only DuckDB can say (`application`).
        """
        family = self._compiled.get(APPLICATION)
        if family is None or family.values is None:
            return None
        try:
            return family.values(application.get)[1:]
        except (Odd, *UNSETTLED):
            return None

    def application(self, application: Row) -> Values:
        """Compute the application family of one application, without a query where the family is compiled.

        Parameters
        ----------
        application
            A raw application row by column name. A column that is missing is NULL.

        Returns
        -------
        tuple
            Its features in the plan's order.

        Raises
        ------
        RequestError
            A value is not of its column's type.
        """
        if (settled := self.settled(application)) is not None:
            return settled
        keyed = {**application, APPLICATION_KEY: 0}  # DuckDB has the last word, and the words for what is wrong
        (found,) = self._by_engine([keyed], {}, (APPLICATION,))[APPLICATION].values()
        return found

    def _compute(
        self, applications: Sequence[Row], histories: Mapping[str, Sequence[Row]], families: Sequence[str]
    ) -> dict[str, list[Any]]:
        keys = _keys(applications)
        found = self._found(keys, applications, histories, families)
        columns: dict[str, list[Any]] = {KEY: list(keys)}
        for name in families:
            absent = (None,) * len(self._names[name])
            matched = [found[name].get(key, absent) for key in keys]
            columns.update(
                zip(self._names[name], map(list, zip(*matched, strict=True)), strict=True)
                if keys
                else ((column, []) for column in self._names[name])
            )
        for flag, name in self._plan["presence"].items():
            if name in families:
                columns[flag] = [key in found[name] for key in keys]
        return columns

    def _found(
        self,
        keys: Sequence[int],
        applications: Sequence[Row],
        histories: Mapping[str, Sequence[Row]],
        families: Sequence[str],
    ) -> dict[str, dict[int, Values]]:
        """Compute families, each by its functions or by DuckDB."""
        known = self._plan["tables"]
        if unknown := sorted(set(histories) - set(known) | set(histories) & {APPLICATION}):
            raise RequestError(
                f"no history table is named {', '.join(unknown)}; known: {', '.join(sorted(set(known) - {APPLICATION}))}"
            )
        found = {
            name: self._by_functions(name, keys, applications, histories) for name in families if name in self._compiled
        }
        return found | self._by_engine(applications, histories, [name for name in families if name not in found])

    def _by_functions(
        self, name: str, keys: Sequence[int], applications: Sequence[Row], histories: Mapping[str, Sequence[Row]]
    ) -> dict[int, Values]:
        """Compute a compiled family, key to feature values; what its functions leave open is DuckDB's."""
        family = self._compiled[name]
        if family.values is None:
            try:
                return {row[0]: row[1:] for row in family.rows({APPLICATION: applications, **histories})}
            except (Odd, *UNSETTLED):
                return self._by_engine(applications, histories, (name,))[name]
        found: dict[int, Values] = {}
        left: list[Row] = []
        for key, application in zip(keys, applications, strict=True):
            try:
                found[key] = family.values(application.get)[1:]
            except (Odd, *UNSETTLED):
                left.append(application)
        return {**found, **self._by_engine(left, {}, (name,))[name]} if left else found

    def _by_engine(
        self, applications: Sequence[Row], histories: Mapping[str, Sequence[Row]], families: Sequence[str]
    ) -> dict[str, dict[int, Values]]:
        """Compute families with DuckDB, key to feature values; a table no family reads is not even sent."""
        read = {table for name in families for table in self._plan["families"][name]["inputs"]}
        rows = {
            table: sent for table, sent in {APPLICATION: applications, **histories}.items() if sent and table in read
        }
        if not rows:
            return {name: {} for name in families}
        with self._worker() as worker:
            return worker.run(rows, families)

    @contextmanager
    def _worker(self) -> Iterator[Worker]:
        """Lend an idle worker, or a new one when all are busy; one that failed is closed, not lent again.

        A refused request is no failure of the worker: its transaction was rolled back like any other.
        """
        try:
            worker = self._idle.get_nowait()
        except Empty:
            worker = Worker(self._plan, self._threads)
        try:
            yield worker
        except RequestError:
            self._idle.put(worker)
            raise
        except BaseException:
            worker.close()
            raise
        self._idle.put(worker)


def _keys(applications: Sequence[Row]) -> list[int]:
    """Read the applications' keys: each there, a whole number, and once."""
    keys: list[int] = []
    for place, application in enumerate(applications):
        key = application.get(APPLICATION_KEY)
        if not isinstance(key, int) or isinstance(key, bool):
            raise RequestError(
                f"application {place + 1} of {len(applications)} has no whole number in {APPLICATION_KEY}"
            )
        keys.append(key)
    if len(set(keys)) < len(keys):
        raise RequestError(f"{APPLICATION_KEY} must differ between the applications of a request; send each one once")
    return keys
