"""What the families give on drawn rows: rendered into a plan by DuckDB, and what compiled families are held against when it is loaded.

What belongs here: the proof, and comparing with it. What does not: drawing rows (`probes`), what becomes of a family that fails
(`request`).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from creditrisk_assets.features.compiled import UNSETTLED, Odd
from creditrisk_assets.features.probes import draw_probes
from creditrisk_assets.features.relations import CompiledFamily
from creditrisk_assets.features.worker import Row, Values, Worker

KEY = "SK_ID_CURR"
Found = Mapping[int, Values]  # applicant -> features


def render_proof(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Render what each family gives on the rows drawn for a plan.

    Returns
    -------
    dict
        `probes`, the hash of the drawn rows, and `families`: per family a list of rows, each the key and the features.
    """
    probes = draw_probes(plan["tables"])
    with closing(Worker(plan, threads=1)) as worker:
        found = {
            name: worker.run(_read(family["inputs"], probes), (name,))[name]
            for name, family in plan["families"].items()
        }
    return {
        "probes": _hash(probes),
        "families": {name: [[key, *values] for key, values in rows.items()] for name, rows in found.items()},
    }


class Proof:
    """What compiled families are compared with.

    Parameters
    ----------
    plan
        A plan. Without a proof, or with one of rows that are drawn otherwise here, DuckDB is asked.
    """

    def __init__(self, plan: Mapping[str, Any]) -> None:
        self._plan = plan
        self._probes = draw_probes(plan["tables"])
        proof = plan.get("proof", {})
        self._expected: dict[str, list[Sequence[Any]]] = (
            proof["families"] if proof.get("probes") == _hash(self._probes) else render_proof(plan)["families"]
        )

    def difference(self, name: str, family: CompiledFamily) -> str | None:
        """Say how a compiled family differs from its SQL on drawn rows; None if it does not."""
        expected = {row[0]: tuple(row[1:]) for row in self._expected.get(name, ())}
        try:
            found = self._found(family)
        except (Odd, *UNSETTLED) as error:
            return f"its functions do not settle drawn rows ({type(error).__name__})"
        if found.keys() != expected.keys():
            return "it is computed for other applicants than by its SQL"
        columns = self._plan["families"][name]["columns"]
        for key, values in found.items():
            if (wrong := _first_difference(values, expected[key])) is not None:
                return f"{columns[wrong][0]} is computed unlike its SQL on this machine"
        return None

    def _found(self, family: CompiledFamily) -> Found:
        if family.values is None:
            return {row[0]: row[1:] for row in family.rows(self._probes)}
        return {probe[KEY]: family.values(probe.get)[1:] for probe in self._probes["application"]}


def _read(tables: Sequence[str], probes: Mapping[str, Sequence[Row]]) -> dict[str, Sequence[Row]]:
    return {table: probes[table] for table in tables}


def _hash(probes: Mapping[str, Sequence[Row]]) -> str:
    return hashlib.sha256(json.dumps(probes, sort_keys=True).encode()).hexdigest()


def _first_difference(found: Sequence[Any], expected: Sequence[Any]) -> int | None:
    """Return the place of the first value that is not the other's, in type and to the last bit."""
    for place, (mine, other) in enumerate(zip(found, expected, strict=True)):
        if type(mine) is not type(other) or (mine != other and (mine == mine or other == other)):  # noqa: PLR0124 - NaN
            return place
    return None
