"""An approval as it is sent and answered; both stand in the OpenAPI document.

What belongs here: invented values. What does not: the shapes (`schemas`).
"""

from typing import Any

APPROVAL: dict[str, Any] = {"token": "eyJkZWNpc2lvbiI6ICJhcHByb3ZlIn0=.c2lnbmF0dXJl"}
TAKEN: dict[str, Any] = {
    "request_id": "0e6f0c3a9d2b4c58b6a7b8c9d0e1f2a3",
    "model_version": "39637a62bc0f042a",
    "evidence": "087cc2ff2678ff8abd7fb6fbece4e061d0fc09854d226d8c79cf59d42d52921c",
    "decision": "approve",
    "identity": "Ada",
    "expires_at": "2026-12-14T12:00:00+00:00",
    "taken": True,
}
