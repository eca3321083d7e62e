"""Several worker processes of one service, each replaced as soon as it dies.

What belongs here: what uvicorn's own supervisor does not do. What does not: settings, the command (`cli`), what a worker does at its
start (`process`).
"""

from uvicorn.supervisors import Multiprocess


class Supervisor(Multiprocess):
    """Uvicorn's supervisor, which does not wait for the answer of a dead worker.

    It asks its workers every half second whether they live, through a pipe, and waits for the answer as long as a busy worker may take.
    It keeps a worker's end of that pipe open itself, so that the pipe outlives a worker killed meanwhile, and the wait is in vain: with
    the end closed, the death of a worker ends it at once.
    """

    def keep_subprocess_alive(self) -> None:
        """Look after the workers, once."""
        for process in self.processes:
            process.child_conn.close()
        super().keep_subprocess_alive()
