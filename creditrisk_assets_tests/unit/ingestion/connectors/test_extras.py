"""A connector whose library is not installed says which extra to install, and takes no other connector with it."""

import subprocess
import sys

import pytest

from creditrisk_assets.ingestion.configuration import (
    AzureConnection,
    Connection,
    DvcConnection,
    KaggleCompetitionConnection,
    KaggleDatasetConnection,
)

SCRIPT = """
import sys
for name in {blocked}:
    sys.modules[name] = None  # as if it were not installed
from pathlib import Path
from creditrisk_assets.ingestion.configuration import *
from creditrisk_assets.ingestion.connector import MissingExtraError
from creditrisk_assets.ingestion.connectors import Credentials, connect
assert connect(LocalConnection(directory=Path()), Credentials(Path())).kind == "local"
try:
    connect({connection}.model_validate_json({content!r}), Credentials(Path()))
except MissingExtraError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("extra", "blocked", "connection"),
    [
        ("azure", ["azure"], AzureConnection(kind="azure", container="lender")),
        ("azure", ["azure.identity"], AzureConnection(kind="azure", container="l", account_url="https://l.example")),
        ("dvc", ["dvc"], DvcConnection(kind="dvc", repository="feeds")),
        ("kaggle", ["kagglesdk"], KaggleCompetitionConnection(kind="kaggle_competition", competition="default-risk")),
        ("kaggle", ["kagglesdk"], KaggleDatasetConnection(kind="kaggle_dataset", dataset="lender/default-risk")),
    ],
)
def test_a_missing_library_is_answered_by_its_extra(extra: str, blocked: list[str], connection: Connection) -> None:
    script = SCRIPT.format(blocked=blocked, connection=type(connection).__name__, content=connection.model_dump_json())
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert f"pip install 'creditrisk[{extra}]'" in done.stdout
    assert blocked[0].partition(".")[0] in done.stdout
