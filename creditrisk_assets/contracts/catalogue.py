"""Every declared table, found by looking through this package, so that a new contract needs no second entry anywhere.

What belongs here: finding them. What does not: the registries with an order that matters (`sources`, `features`).
"""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping

from creditrisk_assets import contracts
from creditrisk_assets.contracts.table import TableContract


def all_tables() -> tuple[TableContract, ...]:
    """List the contracts of the package's modules, by lake key. Importing the models takes seconds."""
    modules = [
        importlib.import_module(found.name)
        for found in pkgutil.walk_packages(contracts.__path__, "creditrisk_assets.contracts.")
    ]
    found = {
        contract.lake_key: contract
        for module in modules
        for value in vars(module).values()
        for contract in _contracts(value)
    }
    return tuple(found[key] for key in sorted(found))


def _contracts(value: object) -> Iterator[TableContract]:
    """Yield what is, or holds, a contract."""
    if isinstance(value, TableContract):
        yield value
    elif isinstance(value, Mapping | tuple | list):
        for each in value.values() if isinstance(value, Mapping) else value:
            if isinstance(each, TableContract):
                yield each
