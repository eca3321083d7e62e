"""A blocking client of the application in this process."""

import asyncio
import json
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

from fastapi import FastAPI

from creditrisk_assets.settings import Settings
from creditrisk_serving.access import Scope, create_key
from creditrisk_serving.app import create_app
from creditrisk_serving.inprocess import Reply, call, running
from creditrisk_serving.settings import ServingSettings
from creditrisk_serving.state import Service

LENDER = Path(__file__).with_name("notice.yaml")


class Client:
    """The application of one home directory, started and stopped by `with`."""

    def __init__(self, home: Path, **settings: Any) -> None:
        self.settings = ServingSettings(
            platform=Settings(home=home), **{"poll_seconds": 60.0, "notice": LENDER, **settings}
        )
        self.key = create_key(self.settings.api_keys_file, "test", scopes=(Scope.ADMIN,), replace=True)
        self.app: FastAPI = create_app(self.settings)
        self._runner = asyncio.Runner()
        self._running: AbstractAsyncContextManager[FastAPI] = running(self.app)

    def __enter__(self) -> "Client":
        self._runner.run(self._running.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.run(self._running.__aexit__(None, None, None))
        self._runner.close()

    @property
    def service(self) -> Service:
        service: Service = self.app.state.service
        return service

    def post(self, path: str, content: Any, **headers: str) -> Reply:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self._runner.run(self.call("POST", path, body, **headers))

    def get(self, path: str, **headers: str) -> Reply:
        return self._runner.run(self.call("GET", path, **headers))

    def run(self, coroutine: Any) -> Any:
        return self._runner.run(coroutine)

    async def call(self, method: str, path: str, body: bytes = b"", **headers: str) -> Reply:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return await call(
            self.app,
            method,
            path,
            body=body,
            headers={"x-api-key": self.key, "content-type": "application/json"} | given,
        )
