"""Choosing a connector: by its configuration, and without libraries that are not asked for."""

import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr, TypeAdapter

from creditrisk_assets.ingestion.configuration import Connection, HttpConnection
from creditrisk_assets.ingestion.connector import RemoteFile, SourceError
from creditrisk_assets.ingestion.connectors import Credentials, connect
from creditrisk_assets_tests.unit.ingestion.connectors.file_server import Served, serving

CONFIGURED = {
    "local": {"directory": "/feeds"},
    "http": {"base_url": "https://feeds.example/daily"},
    "s3": {"bucket": "lender-feeds", "prefix": "daily"},
    "azure": {"container": "feeds", "account_url": "https://lender.blob.core.windows.net"},
    "kaggle_competition": {"competition": "home-credit-default-risk"},
    "kaggle_dataset": {"dataset": "owner/feeds"},
    "dvc": {"repository": "/feeds"},
    "sample": {"scale": 0.05},
}


def connection(kind: str) -> Connection:
    return TypeAdapter(Connection).validate_python({"kind": kind, **CONFIGURED[kind]})


def test_every_kind_that_can_be_configured_is_held_here() -> None:
    union = TypeAdapter(Connection).json_schema()["discriminator"]["mapping"]
    assert set(CONFIGURED) == set(union)


@pytest.mark.parametrize("kind", ["local", "http", "sample", "s3"])
def test_the_kind_chooses_the_connector(kind: str, tmp_path: Path) -> None:
    asked = []
    credentials = Credentials(tmp_path, {"feeds.example": SecretStr("tok")}, s3_client=asked.append)
    assert connect(connection(kind), credentials).kind == kind
    assert asked == ([connection("s3")] if kind == "s3" else [])


def test_without_an_s3_client_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="s3://lender-feeds: no S3 client is configured here"):
        connect(connection("s3"), Credentials(tmp_path))


def test_a_bearer_token_is_sent_to_its_own_host_alone(tmp_path: Path) -> None:
    with serving() as mine, serving() as other:
        for server in (mine, other):
            server.files["/bureau.csv"] = Served(b"x", etag='"1"')
        credentials = Credentials(tmp_path, {urlsplit(mine.url).netloc: SecretStr("tok-1")})
        mine.authorization = other.authorization = "Bearer tok-1"
        file = RemoteFile("bureau.csv")
        assert connect(HttpConnection(kind="http", base_url=mine.url), credentials).stat(file).size == 1
        with pytest.raises(SourceError, match="HTTP 401"):
            connect(HttpConnection(kind="http", base_url=other.url), credentials).stat(file)


def test_the_host_of_a_token_is_the_same_in_any_letters(tmp_path: Path) -> None:
    with serving() as server:
        server.files["/bureau.csv"] = Served(b"x")
        server.authorization = "Bearer tok-1"
        port = urlsplit(server.url).port
        credentials = Credentials(tmp_path, {f"LocalHost:{port}": SecretStr("tok-1")})
        connection = HttpConnection(kind="http", base_url=f"http://localHost:{port}")
        assert connect(connection, credentials).stat(RemoteFile("bureau.csv")).size == 1


def test_no_credential_is_shown(tmp_path: Path) -> None:
    credentials = Credentials(tmp_path, {"feeds.example": SecretStr("tok-1")}, SecretStr("AccountKey=2"))
    assert "tok-1" not in repr(credentials)
    assert "AccountKey" not in repr(credentials)


@pytest.mark.parametrize(
    ("kind", "library", "extra"),
    [
        ("s3", "botocore", "assets"),
        ("azure", "azure", "azure"),
        ("kaggle_competition", "kagglesdk", "kaggle"),
        ("kaggle_dataset", "kagglesdk", "kaggle"),
        ("dvc", "dvc", "dvc"),
        ("dvc", "aiohttp", "dvc"),
        ("dvc", "scmrepo", "dvc"),
    ],
)
def test_a_library_that_is_not_installed_is_named_with_its_extra(kind: str, library: str, extra: str) -> None:
    program = f"""
import sys
class Missing:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] == {library!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing)
from pathlib import Path
from urllib.parse import urlsplit
from pydantic import TypeAdapter
from creditrisk_assets.ingestion.configuration import Connection, HttpConnection
from creditrisk_assets.ingestion.connector import MissingExtraError
from creditrisk_assets.ingestion.connectors import Credentials, connect
from creditrisk_assets_tests.unit.ingestion.connectors.file_server import Served, serving
source = TypeAdapter(Connection).validate_python({{"kind": {kind!r}, **{CONFIGURED[kind]!r}}})
try:
    connect(source, Credentials(Path("."), s3_client=lambda _: None))
except MissingExtraError as error:
    print(error)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.stderr == ""
    assert ended.stdout == (
        f"this source needs a library that is not installed ({library}): pip install 'creditrisk[{extra}]'\n"
    )


def test_a_local_source_loads_no_library_of_another(tmp_path: Path) -> None:
    program = f"""
import sys
from pathlib import Path
from urllib.parse import urlsplit
from creditrisk_assets.ingestion.configuration import LocalConnection
from creditrisk_assets.ingestion.connectors import Credentials, connect
from creditrisk_assets_tests.unit.ingestion.connectors.file_server import Served, serving
connect(LocalConnection(directory=Path({str(tmp_path)!r})), Credentials(Path(".")))
print(sorted({{"boto3", "botocore", "azure.storage", "kaggle", "kagglesdk", "dvc"}} & set(sys.modules)))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"
