"""What an embedded DuckDB may use of the machine, as its own options.

What belongs here: memory, threads, the spill directory, no download, by the settings. What does not: connections for assets (`duckdb`);
this module imports no Dagster, so that a command answers at once.
"""

from creditrisk_assets.settings import Settings


def limits(settings: Settings) -> dict[str, str | bool | int | float | list[str]]:
    """Return the options that hold a DuckDB to the deployment's limits: for `duckdb.connect(config=…)`, or a SET for each."""
    return {
        "memory_limit": settings.memory_limit,
        "threads": settings.threads,
        "temp_directory": str(settings.spill),
        "autoinstall_known_extensions": False,  # nothing is downloaded at run time
    }
