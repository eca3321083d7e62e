"""What only Kaggle can do, and every way it refuses."""

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from creditrisk_assets.ingestion.configuration import KaggleCompetitionConnection
from creditrisk_assets.ingestion.connector import (
    ChangedError,
    MissingFileError,
    RemoteFile,
    SourceError,
    TransientError,
)
from creditrisk_assets.ingestion.connectors import kaggle
from creditrisk_assets.ingestion.fetch import RetryPolicy, fetch
from creditrisk_assets_tests.unit.ingestion.connectors.counterpart_kaggle_competition import KaggleCounterpart
from creditrisk_assets_tests.unit.ingestion.connectors.counterparts import Counterpart
from creditrisk_assets_tests.unit.ingestion.connectors.file_server import Answer, Served
from creditrisk_assets_tests.unit.ingestion.connectors.kaggle_server import LOGIN, SIGNATURE, TOKEN, Place

FILE = RemoteFile("bureau.csv")
CONTENT = b"SK_ID_CURR\n" + b"100001\n" * 50_000
HASTY = RetryPolicy(attempts=4, first_seconds=0.02, longest_seconds=0.1)


def of_kind(counterpart: Counterpart) -> KaggleCounterpart:
    assert isinstance(counterpart, KaggleCounterpart)
    return counterpart


@pytest.fixture
def competition(counterpart_of: Callable[[str], Counterpart]) -> KaggleCounterpart:
    return of_kind(counterpart_of("kaggle_competition"))


@pytest.fixture
def dataset(counterpart_of: Callable[[str], Counterpart]) -> KaggleCounterpart:
    return of_kind(counterpart_of("kaggle_dataset"))


@pytest.fixture(params=["kaggle_competition", "kaggle_dataset"])
def either(request: pytest.FixtureRequest, counterpart_of: Callable[[str], Counterpart]) -> KaggleCounterpart:
    return of_kind(counterpart_of(request.param))


def zipped(plain: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bureau.csv", plain)
    return packed.getvalue()


def test_without_credentials_it_says_where_to_put_them(either: KaggleCounterpart) -> None:
    with pytest.raises(
        SourceError, match=r"KAGGLE_API_TOKEN or ~/\.kaggle/access_token.*KAGGLE_USERNAME and KAGGLE_KEY"
    ):
        either.connector(KAGGLE_API_TOKEN="")


@pytest.mark.parametrize("place", ["KAGGLE_API_TOKEN", "KAGGLE_KEY", "access_token", "kaggle.json"])
def test_every_place_for_credentials_is_looked_in(either: KaggleCounterpart, tmp_path: Path, place: str) -> None:
    either.put("bureau.csv", CONTENT)
    given = {"KAGGLE_API_TOKEN": ""}
    either.home = tmp_path
    (tmp_path / ".kaggle").mkdir()
    if place == "KAGGLE_API_TOKEN":
        given = {"KAGGLE_API_TOKEN": TOKEN}
    elif place == "KAGGLE_KEY":
        given = {"KAGGLE_USERNAME": LOGIN[0], "KAGGLE_KEY": LOGIN[1]}
    elif place == "access_token":
        (tmp_path / ".kaggle" / place).write_text(TOKEN)
    else:
        (tmp_path / ".kaggle" / place).write_text(json.dumps({"username": LOGIN[0], "key": LOGIN[1]}))
    assert either.connector(**given).stat(FILE).version


def test_credentials_that_are_not_known_are_refused_and_not_shown(either: KaggleCounterpart) -> None:
    connector = either.connector(KAGGLE_API_TOKEN="KGAT_expired")
    for action in (lambda: connector.stat(FILE), lambda: connector.find(["bureau.csv"])):
        with pytest.raises(SourceError, match=r"does not accept these credentials.*put an API token") as refused:
            action()
        assert "KGAT_expired" not in str(refused.value)


def test_rules_that_were_not_accepted_are_named_with_their_page(competition: KaggleCounterpart) -> None:
    competition.put("bureau.csv", CONTENT)
    connector = competition.connector()
    stat = connector.stat(FILE)
    competition.server.places[competition.name].refused = (403, "You must accept this competition's rules")
    page = f"https://www.kaggle.com/competitions/{competition.name}/rules"
    for action in (lambda: connector.stat(FILE), lambda: list(connector.read(FILE, stat, 0))):
        with pytest.raises(SourceError, match=f"accept the rules of the competition first: {page}"):
            action()


def test_a_dataset_that_is_not_shared_is_refused(dataset: KaggleCounterpart) -> None:
    dataset.server.places[dataset.name].refused = (403, "Permission denied")
    with pytest.raises(SourceError, match=f"https://www.kaggle.com/datasets/{dataset.name}.*have its owner share it"):
        dataset.connector().stat(FILE)


def test_a_wrong_name_is_no_missing_file(either: KaggleCounterpart) -> None:
    connector = either.connector()
    del either.server.places[either.name]
    for action in (lambda: connector.stat(FILE), lambda: connector.find(["bureau.csv"])):
        with pytest.raises(SourceError, match=f"{either.name} does not exist .HTTP 404.*check its name") as refused:
            action()
        assert not isinstance(refused.value, MissingFileError)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_overloaded_service_is_asked_once_and_waited_for_as_it_says(either: KaggleCounterpart, status: int) -> None:
    either.put("bureau.csv", CONTENT)
    connector = either.connector()
    either.server.asked.clear()
    either.server.instead.append(Answer(status, {"Retry-After": "7"}))
    with pytest.raises(TransientError) as refused:
        connector.stat(FILE)
    assert refused.value.retry_after_seconds == 7
    assert len(either.server.asked) == 1


def test_a_service_that_is_not_there_may_come_back(either: KaggleCounterpart) -> None:
    connection = KaggleCompetitionConnection(kind="kaggle_competition", competition="c", endpoint="http://127.0.0.1:9")
    either.connection = lambda: connection
    with pytest.raises(TransientError, match="cannot be read at the moment"):
        either.connector().stat(FILE)


def test_a_silent_service_is_not_waited_for_without_end(
    either: KaggleCounterpart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kaggle, "TIMEOUT_SECONDS", (5.0, 0.2))
    either.put("bureau.csv", CONTENT)
    connector = either.connector()
    stat = connector.stat(FILE)
    either.server.storage.throttle_seconds = 1.0
    try:
        with pytest.raises(TransientError, match="at the moment"):
            list(connector.read(FILE, stat, 0))
    finally:
        either.server.storage.throttle_seconds = 0.0


def test_a_page_instead_of_an_answer_is_refused(either: KaggleCounterpart) -> None:
    connector = either.connector()
    either.server.instead.append(Answer(200, {"Content-Type": "text/html"}, b"<html>Sign in</html>"))
    with pytest.raises(SourceError, match="not one of Kaggle's API"):
        connector.stat(FILE)


def test_files_on_every_page_of_the_list_are_found(either: KaggleCounterpart) -> None:
    for number in range(5):
        either.put(f"table_{number}.csv", CONTENT)
    connector = either.connector()
    assert connector.find(["TABLE_4.csv"]) == "table_4.csv"
    assert connector.stat(RemoteFile("table_4.csv")).modified_at is not None


def test_a_file_that_arrives_zipped_is_fetched_as_it_arrives(either: KaggleCounterpart, tmp_path: Path) -> None:
    packed = zipped(CONTENT)
    either.server.put(either.name, "bureau.csv", CONTENT, lambda plain: packed)
    connector = either.connector()
    stat = connector.stat(FILE)
    either.server.storage.cuts.append(len(packed) // 2)
    fetched = fetch(connector, FILE, stat, tmp_path / "bureau.csv", policy=HASTY)
    assert fetched.path.read_bytes() == packed
    assert fetched.downloaded_bytes == len(packed)


def test_two_packings_of_one_file_are_not_mixed(either: KaggleCounterpart) -> None:
    either.put("bureau.csv", CONTENT)
    connector = either.connector()
    stat = connector.stat(FILE)
    assert next(iter(connector.read(FILE, stat, 0)))
    stored_at = either.server.places[either.name].files["bureau.csv"].stored_at
    either.server.storage.files[stored_at] = Served(CONTENT, etag='"packed anew"')
    with pytest.raises(ChangedError, match="packed anew"):
        list(connector.read(FILE, stat, 1000))
    assert b"".join(connector.read(FILE, stat, 0)) == CONTENT


def test_a_download_that_ends_early_is_a_failure_not_a_file(either: KaggleCounterpart) -> None:
    either.put("bureau.csv", CONTENT)
    stored_at = either.server.places[either.name].files["bureau.csv"].stored_at
    either.server.storage.files[stored_at] = Served(CONTENT, headers={"Content-Length": str(len(CONTENT) + 9)})
    connector = either.connector()
    with pytest.raises(TransientError, match="at the moment") as broken:
        list(connector.read(FILE, connector.stat(FILE), 0))
    assert SIGNATURE not in str(broken.value)


def test_a_storage_that_refuses_does_not_show_the_signed_address(either: KaggleCounterpart) -> None:
    either.put("bureau.csv", CONTENT)
    connector = either.connector()
    stat = connector.stat(FILE)
    for status in (400, 403, 404, 503):
        either.server.storage.instead.append(Answer(status))
        with pytest.raises((SourceError, TransientError)) as refused:
            list(connector.read(FILE, stat, 0))
        assert SIGNATURE not in str(refused.value)


def test_a_storage_that_cannot_start_in_the_middle_is_read_from_the_start(
    either: KaggleCounterpart, tmp_path: Path
) -> None:
    either.put("bureau.csv", CONTENT)
    connector = either.connector()
    stat = connector.stat(FILE)
    either.server.storage.ranges = False
    either.server.storage.cuts.append(len(CONTENT) // 2)
    try:
        with pytest.raises(io.UnsupportedOperation):
            list(connector.read(FILE, stat, 5))
        assert fetch(connector, FILE, stat, tmp_path / "bureau.csv", policy=HASTY).path.read_bytes() == CONTENT
    finally:
        either.server.storage.ranges = True


def test_a_pin_reads_the_version_of_a_dataset_that_it_names(dataset: KaggleCounterpart) -> None:
    dataset.server.put(f"{dataset.name}@3", "bureau.csv", b"of version three")
    dataset.put("bureau.csv", b"of the newest")
    connector, pinned = dataset.connector(), RemoteFile("bureau.csv", "3")
    assert b"".join(connector.read(pinned, connector.stat(pinned), 0)) == b"of version three"
    assert b"".join(connector.read(FILE, connector.stat(FILE), 0)) == b"of the newest"


def test_a_pinned_version_that_is_gone_is_missing(dataset: KaggleCounterpart) -> None:
    dataset.server.places[f"{dataset.name}@3"] = Place()
    dataset.server.put(f"{dataset.name}@3", "bureau.csv", CONTENT)
    connector, pinned = dataset.connector(), RemoteFile("bureau.csv", "3")
    stat = connector.stat(pinned)
    del dataset.server.places[f"{dataset.name}@3"]
    for action in (lambda: connector.stat(pinned), lambda: list(connector.read(pinned, stat, 0))):
        with pytest.raises(MissingFileError, match="pin"):
            action()


@pytest.mark.parametrize(("kind", "pin"), [("kaggle_competition", "3"), ("kaggle_dataset", "newest")])
def test_a_pin_that_means_nothing_there_is_refused(
    counterpart_of: Callable[[str], Counterpart], kind: str, pin: str
) -> None:
    with pytest.raises(SourceError, match="`pin`"):
        counterpart_of(kind).connector().stat(RemoteFile("bureau.csv", pin))


def test_the_connector_does_not_import_the_package_that_signs_in_and_prints() -> None:
    script = "import creditrisk_assets.ingestion.connectors.kaggle, sys; sys.exit('kaggle' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
