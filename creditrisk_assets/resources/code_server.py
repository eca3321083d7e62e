"""`dagster api grpc` that goes on looking after its runs when Dagster's database was away.

What belongs here: that one difference from Dagster's server, and its start (`python -m creditrisk_assets.resources.code_server`, with the
options of `dagster api grpc`). What does not: what is served, and what a dead run leads to (`run_launcher`, beside this file).

Dagster's server finds runs whose process died in a thread that ends for good at its first error. PostgreSQL was away for a minute: the
run's process died of it, then the thread. The run stayed `started` and the server went on to answer that it has it.
"""

import sys

from dagster._cli import ENV_PREFIX, cli
from dagster._grpc import server


class PatientApiServer(server.DagsterApiServer):
    """Dagster's code server; what it could not tell the database of a dead run it tells it later."""

    def _check_for_orphaned_runs(self) -> None:
        try:
            super()._check_for_orphaned_runs()
        except Exception as error:
            self._logger.warning("runs could not be looked at, again in a moment: %s", error)


def main() -> None:
    """Start a code server."""
    server.DagsterApiServer = PatientApiServer  # type: ignore[misc]  # which the command looks up when it starts
    cli(["api", "grpc", *sys.argv[1:]], auto_envvar_prefix=ENV_PREFIX)


if __name__ == "__main__":
    main()
