"""What is published is in the object store before its pointer, and other machines follow that pointer."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from creditrisk_assets.lake import Lake, LakeError, Version
from creditrisk_assets.mirror import Mirror, MirrorError
from creditrisk_assets.modelling.bundle import SHADOW_POINTER, follow
from creditrisk_assets.modelling.bundle_writer import point_to
from creditrisk_assets.settings import Settings
from creditrisk_assets_tests.serving.ecs_cluster import REGION, moto

URL = "s3://credit-risk/production"
KEY = "raw/bureau"


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    with moto() as url:
        yield url


@pytest.fixture
def s3(aws: str) -> Iterator[boto3.client]:
    client = boto3.client("s3")
    client.create_bucket(Bucket="credit-risk", CreateBucketConfiguration={"LocationConstraint": REGION})
    yield client
    for found in client.list_objects_v2(Bucket="credit-risk").get("Contents", ()):
        client.delete_object(Bucket="credit-risk", Key=found["Key"])
    client.delete_bucket(Bucket="credit-risk")


def machine(tmp_path: Path, name: str) -> Lake:
    return Lake(tmp_path / name, Mirror(URL))


def publish(lake: Lake, content: str) -> Version:
    with lake.draft(KEY) as draft:
        draft.data.write_text(content)
        (draft.path / "plots").mkdir()
        (draft.path / "plots" / "one.png").write_text("picture")
        return lake.publish(draft, code_version="1", inputs={})


@pytest.mark.usefixtures("s3")
def test_another_machine_follows_what_is_published(tmp_path: Path) -> None:
    here, there = machine(tmp_path, "here"), machine(tmp_path, "there")
    assert there.current(KEY) is None
    first, second = publish(here, "first"), publish(here, "second")
    found = there.require(KEY)
    assert (found.version, found.damage()) == (second.version, None)
    assert found.data.read_text() == "second"
    assert (found.path / "plots" / "one.png").read_text() == "picture"
    assert there.version(KEY, first.version).data.read_text() == "first"
    there.restore(KEY, first.version)
    assert here.require(KEY).version == first.version
    assert not list((tmp_path / "there" / KEY).glob(".draft-*"))


@pytest.mark.usefixtures("s3")
def test_a_home_that_was_embedded_is_kept_from_its_next_run_on(tmp_path: Path) -> None:
    publish(Lake(tmp_path / "here"), "first")
    found, _ = machine(tmp_path, "here").reusable(KEY, code_version="1", inputs={})
    assert found is not None
    assert machine(tmp_path, "there").require(KEY).data.read_text() == "first"


def test_the_pointer_is_written_after_all_files_it_leads_to(tmp_path: Path, s3: boto3.client, monkeypatch) -> None:
    here, there = machine(tmp_path, "here"), machine(tmp_path, "there")
    first = publish(here, "first")
    client = here._elsewhere._client
    upload, done = client.upload_file, []

    def cut_off(path: str, bucket: str, key: str) -> None:
        if done:
            raise client.exceptions.ClientError({"Error": {"Code": "SlowDown"}}, "PutObject")
        done.append(key)
        upload(path, bucket, key)

    monkeypatch.setattr(client, "upload_file", cut_off)
    with pytest.raises(MirrorError, match="SlowDown"):
        publish(here, "second")
    assert there.require(KEY).version == first.version
    assert here.require(KEY).version == first.version, "what is not in the store is not published"
    monkeypatch.undo()
    assert publish(here, "second").version == there.require(KEY).version


def test_a_store_that_is_away_is_one_line(tmp_path: Path, s3: boto3.client) -> None:
    away = Lake(tmp_path / "here", Mirror("s3://no-such-bucket/x"))
    with pytest.raises(LakeError, match=r"NoSuchBucket.*check CREDITRISK_OBJECT_STORE"):
        publish(away, "first")


@pytest.mark.parametrize(
    ("pointer", "words"),
    [
        ("{", "is damaged"),
        ('{"version": "../../etc"}', "names no version"),
        ('{"version": "gone"}', "has no version gone"),
    ],
)
def test_a_pointer_there_that_leads_nowhere_is_refused(
    tmp_path: Path, s3: boto3.client, pointer: str, words: str
) -> None:
    here = machine(tmp_path, "here")
    s3.put_object(Bucket="credit-risk", Key=f"production/lake/{KEY}/CURRENT", Body=pointer.encode())
    with pytest.raises(MirrorError, match=words):
        here.current(KEY)
    assert not (tmp_path / "here" / KEY / "CURRENT").exists()


def test_a_file_that_leads_out_of_its_version_is_refused(tmp_path: Path, s3: boto3.client) -> None:
    s3.put_object(Bucket="credit-risk", Key=f"production/lake/{KEY}/CURRENT", Body=b'{"version": "v1"}')
    s3.put_object(Bucket="credit-risk", Key=f"production/lake/{KEY}/versions/v1/../../../../stolen", Body=b"x")
    with pytest.raises(MirrorError, match="leads out of it"):
        machine(tmp_path, "here").current(KEY)
    assert not list(tmp_path.rglob("stolen"))


@pytest.mark.parametrize("url", ["http://bucket", "s3://", "bucket/prefix", "s3:///prefix"])
def test_an_address_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("CREDITRISK_OBJECT_STORE", url)
    with pytest.raises(ValueError, match="object_store"):
        Settings()


@pytest.mark.usefixtures("s3")
def test_a_pointer_of_bundles_is_swapped_and_taken_away_there_too(tmp_path: Path) -> None:
    here, there, mirror = tmp_path / "here", tmp_path / "there", Mirror(URL)
    for version in ("0" * 16, "1" * 16):
        (here / version).mkdir(parents=True)
        (here / version / "model.txt").write_text(version)
        point_to(here, version, mirror)
        mirror.pull(there, "bundles")
        assert follow(there) == there / version
        assert (there / version / "model.txt").read_text() == version
    point_to(here, None, mirror)
    mirror.pull(tmp_path / "new", "bundles")
    assert follow(tmp_path / "new") is None
    assert follow(there) == there / ("1" * 16), "a service keeps the model it has"


@pytest.mark.usefixtures("s3")
def test_a_shadow_is_pointed_to_there_beside_the_champion_and_withdrawn_alone(tmp_path: Path) -> None:
    here, there, mirror = tmp_path / "here", tmp_path / "there", Mirror(URL)
    champion, shadow = "0" * 16, "1" * 16
    for version in (champion, shadow):
        (here / version).mkdir(parents=True)
        (here / version / "model.txt").write_text(version)
    assert mirror.pointed(there, "bundles", SHADOW_POINTER) is None
    point_to(here, champion, mirror)
    point_to(here, shadow, mirror, SHADOW_POINTER)
    mirror.pull(there, "bundles")
    assert mirror.pointed(there, "bundles", SHADOW_POINTER) == shadow
    assert (there / shadow / "model.txt").read_text() == shadow
    assert (follow(here), follow(here, SHADOW_POINTER), follow(there)) == (
        here / champion,
        here / shadow,
        there / champion,
    )
    point_to(here, None, mirror, SHADOW_POINTER)
    assert mirror.pointed(there, "bundles", SHADOW_POINTER) is None
    assert follow(here, SHADOW_POINTER) is None
    mirror.pull(tmp_path / "new", "bundles")
    assert follow(tmp_path / "new") == tmp_path / "new" / champion
