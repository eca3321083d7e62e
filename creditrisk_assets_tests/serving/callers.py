"""Callers that ask a running service all it answers, and keep what they were told."""

import contextlib
import http.client
import json
import random
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from creditrisk_assets_tests.serving.portfolio import Portfolio

BATCH = 50


class Callers:
    """Threads that ask until they are stopped.

    Attributes
    ----------
    statuses
        How often each status was answered, by what was asked.
    answered
        Ids of the decisions that were answered, once for each answer that made them.
    models
        How many decisions each model version made.
    """

    def __init__(self, port: int, key: str, portfolio: Portfolio, number: int = 8) -> None:
        self.statuses: Counter[tuple[str, int]] = Counter()
        self.answered: list[str] = []
        self.models: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._port, self._key, self._portfolio = port, key, portfolio
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._call, args=(seed,)) for seed in range(number)]

    @contextlib.contextmanager
    def calling(self) -> Iterator["Callers"]:
        """Ask as long as the block runs."""
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._over.set()
            for thread in self._threads:
                thread.join()

    def failures(self) -> dict[tuple[str, int], int]:
        """Return the answers that say that the service failed."""
        return {asked: count for asked, count in self.statuses.items() if asked[1] >= 500}

    def _call(self, seed: int) -> None:
        drawn = random.Random(seed)
        ways: list[tuple[float, Callable[[Any, random.Random], None]]] = [
            (0.60, self._known), (0.15, self._raw), (0.05, self._history), (0.03, self._batch), (0.05, self._twice), (0.06, self._bad),
            (0.06, self._read),
        ]  # fmt: skip
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        with contextlib.closing(connection):
            while not self._over.is_set():
                (way,) = drawn.choices([each for _, each in ways], [weight for weight, _ in ways])
                try:
                    way(connection, drawn)
                except (
                    OSError,
                    http.client.HTTPException,
                ):  # no answer: what was asked may be stored, and was not told
                    connection.close()  # the next request opens it anew

    def _ask(
        self,
        connection: http.client.HTTPConnection,
        what: str,
        method: str,
        path: str,
        body: object = None,
        **headers: str,
    ) -> tuple[int, Any]:
        given = {
            "X-API-Key": self._key,
            "Content-Type": "application/json",
            **{k.replace("_", "-"): v for k, v in headers.items()},
        }
        connection.request(method, path, None if body is None else json.dumps(body), given)
        reply = connection.getresponse()
        content = json.loads(reply.read())
        with self._lock:
            self.statuses[what, reply.status] += 1
        return reply.status, content

    def _predict(self, connection: http.client.HTTPConnection, what: str, body: object, **headers: str) -> Any:
        status, answer = self._ask(connection, what, "POST", "/predict", body, **headers)
        if status == 200:
            with self._lock:
                self.models[answer["model_version"]] += len(answer["decisions"])
                if what != "again":
                    self.answered += [decision["decision_id"] for decision in answer["decisions"]]
        return answer

    def _known(self, connection: http.client.HTTPConnection, drawn: random.Random) -> None:
        self._predict(connection, "known", {"applicant_ids": [drawn.choice(self._portfolio.applicants)]})

    def _raw(self, connection: http.client.HTTPConnection, drawn: random.Random) -> None:
        application = self._portfolio.application(drawn.choice(self._portfolio.applicants))
        self._predict(connection, "raw", {"applications": [application]})

    def _history(self, connection: http.client.HTTPConnection, drawn: random.Random) -> None:
        applicant = drawn.choice(self._portfolio.applicants)
        body = {
            "applications": [self._portfolio.application(applicant)],
            "histories": self._portfolio.histories(applicant),
        }
        self._predict(connection, "history", body)

    def _batch(self, connection: http.client.HTTPConnection, drawn: random.Random) -> None:
        self._predict(connection, "batch", {"applicant_ids": drawn.sample(self._portfolio.applicants, BATCH)})

    def _twice(self, connection: http.client.HTTPConnection, drawn: random.Random) -> None:
        body, key = {"applicant_ids": [drawn.choice(self._portfolio.applicants)]}, str(uuid.uuid4())
        first = self._predict(connection, "once", body, Idempotency_Key=key)
        again = self._predict(connection, "again", body, Idempotency_Key=key)
        if "decisions" in first and "decisions" in again and first != again:
            self.wrong.append(f"two answers under the key {key}")

    def _bad(self, connection: http.client.HTTPConnection, drawn: random.Random) -> None:
        body = drawn.choice(
            [{"applications": [{"SK_ID_CURR": 1}]}, {"applicant_ids": [-1]}, {}, {"applicant_ids": "x"}]
        )
        self._ask(connection, "bad", "POST", "/predict", body)

    def _read(self, connection: http.client.HTTPConnection, drawn: random.Random) -> None:
        with self._lock:
            if not self.answered:
                return
            decision = self.answered[-1 - drawn.randrange(min(1000, len(self.answered)))]
        status, found = self._ask(connection, "read", "GET", f"/decisions/{decision}")
        if status == 404 or (status == 200 and found["decision_id"] != decision):
            self.wrong.append(f"decision {decision} was answered and is not found")
