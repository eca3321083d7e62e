"""Whether every replica of the scoring service answers with a version.

What belongs here: asking them until they do or the time is over. What does not: what follows from their answers (`changing`).

A replica loads a bundle only if every golden row gets its PD to the last bits, in its own process, and goes on with the old bundle
otherwise; so the version it reports at /ready is one that passed there. With a key it is asked for the hash of its bundle too.
"""

import time
from collections.abc import Sequence

import httpx
from pydantic import SecretStr

PAUSE_SECONDS = 0.2
CONFIRMATIONS = 3  # in a row: a replica of several processes answers with one of them each time
PATIENCE_SECONDS = 5.0  # for one answer


def unconfirmed(
    replicas: Sequence[str],
    model_version: str,
    bundle_sha256: str,
    *,
    key: SecretStr | None = None,
    timeout: float,
) -> list[str]:
    """Ask replicas until all of them answer with a version; say which did not, and what they answered last.

    Parameters
    ----------
    replicas
        Addresses of the services; none: nobody is asked.
    model_version, bundle_sha256
        What they must report.
    key
        API key for the hash; None: the version alone is asked for.
    timeout
        Seconds for all of them together.
    """
    if not replicas:
        return []
    deadline = time.monotonic() + timeout
    counts, answers = dict.fromkeys(replicas, 0), dict.fromkeys(replicas, "no answer yet")
    headers = {} if key is None else {"X-API-Key": key.get_secret_value()}
    with httpx.Client(timeout=min(PATIENCE_SECONDS, timeout), headers=headers) as client:
        while True:
            for replica in [name for name, count in counts.items() if count < CONFIRMATIONS]:
                answers[replica] = _disagreement(client, replica, model_version, bundle_sha256 if key else None)
                counts[replica] = 0 if answers[replica] else counts[replica] + 1
            waiting = [replica for replica, count in counts.items() if count < CONFIRMATIONS]
            if not waiting:
                return []
            if time.monotonic() >= deadline:
                return [f"{replica}: {answers[replica] or 'confirmed too seldom'}" for replica in waiting]
            time.sleep(PAUSE_SECONDS)


def _disagreement(client: httpx.Client, replica: str, model_version: str, bundle_sha256: str | None) -> str:
    """Ask one replica once; say how its answer is another than wanted, nothing if it is not."""
    try:
        ready = client.get(f"{replica.rstrip('/')}/ready").json()
        if ready["model_version"] != model_version:
            return "; ".join([f"answers with {ready['model_version']}", *ready["warnings"], *ready["reasons"]])
        if not ready["ready"]:
            return f"is not ready: {'; '.join(ready['reasons'])}"
        if bundle_sha256 is not None:
            told = client.get(f"{replica.rstrip('/')}/metadata").raise_for_status().json()["model"]["bundle_sha256"]
            if told != bundle_sha256:
                return f"has another bundle of that version ({told[:12]}…)"
    except httpx.HTTPError as error:
        return f"does not answer ({type(error).__name__})"
    except (ValueError, KeyError, TypeError):
        return "does not answer as a scoring service does"
    return ""
