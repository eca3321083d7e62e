"""The online store, on SQLite and on a real PostgreSQL: what is stored is what is read, whole snapshots or none, damage is named."""

import multiprocessing
import os
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import create_engine, inspect, text

from creditrisk_assets.features.families import FAMILIES
from creditrisk_assets.lake import Lake, Version
from creditrisk_assets.modelling.bundle import Bundle, follow, read_public_key
from creditrisk_assets_tests.serving.client import Client
from creditrisk_assets_tests.serving.conftest import Published
from creditrisk_assets_tests.serving.online_processes import build_slowly, filled, read_until
from creditrisk_assets_tests.serving.portfolio import FIRST_ID, publish_online
from creditrisk_serving.errors import NotReadyError
from creditrisk_serving.online.build import BuildError, FamilyFile, Packer
from creditrisk_serving.online.layout import Decoder, RowDamagedError
from creditrisk_serving.online.publish import build_snapshot, prove, publish_families
from creditrisk_serving.online.store import OnlineStore, OnlineStoreError, Snapshot
from creditrisk_serving.scoring.lookup import LookupUnavailableError, MaxAge, open_features
from creditrisk_serving.scoring.slots import Slots

KNOWN = {"applicant_ids": [FIRST_ID]}
NO_HISTORY = FIRST_ID + (-FIRST_ID % 4)  # every fourth applicant of the portfolio has none
FOREVER = MaxAge(timedelta(days=10_000))


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OnlineStore]:
    """An empty store of each kind."""
    url = None if request.param == "sqlite" else request.getfixturevalue("empty_postgresql")
    found = OnlineStore(tmp_path / "online", url)
    yield found
    found.close()


@pytest.fixture
def families(template: Published) -> dict[str, Version]:
    lake = Lake(template.home / "lake")
    return {name: lake.require(f"features/{name}") for name in FAMILIES}


def slots(template: Published) -> Slots:
    path = follow(template.home / "bundles")
    assert path is not None
    return Slots(Bundle.load(path, read_public_key(template.home / "keys")))


def everything(snapshot: Snapshot) -> dict[str, tuple[str, ...]]:
    return {family.name: tuple(name for name, _ in family.columns) for family in snapshot.layout.families}


def read(store: OnlineStore, snapshot: Snapshot, key: int) -> dict[str, Any]:
    rows = store.open(snapshot)
    packed = rows.find(key)
    rows.close()
    return {} if packed is None else Decoder(snapshot.layout, everything(snapshot)).decode(key, packed)


def test_every_value_is_read_back_as_it_was_in_type_and_to_the_last_bit(
    store: OnlineStore, families: dict[str, Version]
) -> None:
    snapshot = publish_families(store, families)
    proof = prove(store, snapshot, families, rows=10_000)
    assert proof.rows == snapshot.rows == pq.read_metadata(families["application"].data).num_rows
    assert proof.differing == {}
    current = store.current()
    assert current is not None
    assert store.snapshot(current.name) == snapshot


def test_a_family_without_rows_is_absent_and_a_stranger_has_no_row(
    store: OnlineStore, families: dict[str, Version]
) -> None:
    snapshot = build_snapshot(store, families)
    assert set(read(store, snapshot, NO_HISTORY)) == {"application"}
    assert set(read(store, snapshot, FIRST_ID)) == set(FAMILIES)
    assert read(store, snapshot, 7) == {}


def test_proof_finds_a_store_of_other_values(store: OnlineStore, families: dict[str, Version], tmp_path: Path) -> None:
    table = pq.read_table(families["pos_cash"].data)
    name = table.column_names[1]
    place = table.column_names.index(name)
    changed = pa.array(
        [value if value is None else value + 1 for value in table.column(name).to_pylist()],
        table.schema.field(name).type,
    )
    pq.write_table(table.set_column(place, name, changed), tmp_path / "data.parquet")
    other = Version(tmp_path, families["pos_cash"].manifest)
    snapshot = build_snapshot(store, {**families, "pos_cash": other})
    assert set(prove(store, snapshot, families).differing) == {name}


def write_family(path: Path, columns: dict[str, Any], *, group: int = 3) -> FamilyFile:
    pq.write_table(pa.table(columns), path, row_group_size=group)
    return FamilyFile(path.stem, "v", "d", path)


def test_rows_of_many_batches_and_edge_values_are_kept(store: OnlineStore, tmp_path: Path) -> None:
    generator = random.Random(5)
    keys = sorted(generator.sample(range(2**40), 9000))
    application = {
        "sk_id_curr": pa.array(keys, pa.int64()),
        "a__wide": pa.array([generator.choice([None, -(2**63), 2**63 - 1, 0]) for _ in keys], pa.int64()),
        "a__narrow": pa.array([generator.choice([None, -128, 127]) for _ in keys], pa.int64()),
        "a__real": pa.array([generator.choice([None, 0.1, -0.0, 1e308, 5e-324]) for _ in keys], pa.float64()),
        "a__flag": pa.array([generator.choice([None, True, False]) for _ in keys], pa.bool_()),
        "a__name": pa.array([generator.choice([None, "", "é", "x" * 50]) for _ in keys], pa.string()),
        "a__nothing": pa.array([None] * len(keys), pa.int64()),
    }
    some = [key for key in keys if generator.random() < 0.3]
    history = {"sk_id_curr": pa.array([*some, 2**41], pa.int64()), "h__n": pa.array([*range(len(some)), 0], pa.int64())}
    empty = {"sk_id_curr": pa.array([], pa.int64()), "e__n": pa.array([], pa.float64())}
    packer = Packer(
        [
            write_family(tmp_path / "application.parquet", application, group=1000),
            write_family(tmp_path / "history.parquet", history, group=700),
            write_family(tmp_path / "empty.parquet", empty),
        ]
    )
    snapshot = store.write("v", packer.rows(), packer)
    decoder = Decoder(snapshot.layout, everything(snapshot))
    rows = store.open(snapshot)
    found = rows.find_many([*keys, 2**41])
    assert list(found) == list(rows.find_many(keys))  # without an application there is no row
    expected = dict(
        zip(keys, zip(*(application[name].to_pylist() for name in list(application)[1:]), strict=True), strict=True)
    )
    numbers = dict(zip(some, range(len(some)), strict=True))
    for key in keys:
        decoded = decoder.decode(key, found[key])
        assert decoded["application"] == expected[key]
        assert decoded.get("history") == ((numbers[key],) if key in numbers else None)
        assert "empty" not in decoded
    rows.close()


@pytest.mark.parametrize("keys", [[1, 3, 2], [1, 1, 2]])
def test_a_family_out_of_order_or_with_an_applicant_twice_is_refused(
    keys: list[int], store: OnlineStore, tmp_path: Path
) -> None:
    file = write_family(tmp_path / "application.parquet", {"sk_id_curr": keys, "a__n": [1.0, 2.0, 3.0]})
    packer = Packer([file])
    with pytest.raises(
        BuildError, match="features/application is not ordered by sk_id_curr, or has an applicant twice"
    ):
        store.write("v", packer.rows(), packer)
    assert store.current() is None
    assert store.find("v") is None


def test_only_the_current_snapshot_and_the_one_before_are_kept(store: OnlineStore) -> None:
    names = []
    for number in range(4):
        rows, source = filled({1: number})
        names.append(store.write(f"version {number}", rows, source).name)
        store.point(names[-1])
        store.prune()
    assert [store.find(f"version {number}") is not None for number in range(4)] == [False, False, True, True]
    for name in names[:2]:
        with pytest.raises(OnlineStoreError, match="has no snapshot"):
            store.point(name)
    back = store.find("version 2")
    assert back is not None
    store.point(back.name)
    store.prune()
    assert (store.find("version 2") or back).rows == 1


def test_two_readers_in_other_processes_see_whole_snapshots_during_swaps(
    store: OnlineStore, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = request.getfixturevalue("postgresql") if store.backend == "postgresql" else None

    def swap(number: int) -> None:
        rows, source = filled(dict.fromkeys(range(1, 21), number))
        store.point(store.write(str(number), rows, source).name)
        store.prune()

    swap(0)
    context = multiprocessing.get_context("spawn")
    stop, seen, problems = context.Event(), context.Queue(), context.Queue()
    readers = [
        context.Process(target=read_until, args=((tmp_path / "online", url), stop, seen, problems)) for _ in range(2)
    ]
    for reader in readers:
        reader.start()
    for _ in range(4):
        assert seen.get(timeout=60) == 0
    for number in range(1, 13):
        swap(number)
        time.sleep(0.05)
    found = set()
    while 12 not in found:
        found.add(seen.get(timeout=60))
    stop.set()
    for reader in readers:
        reader.join(timeout=60)
    assert [reader.exitcode for reader in readers] == [0, 0]
    assert problems.empty()
    assert len(found) > 2


def test_a_build_that_is_killed_leaves_the_old_snapshot_and_is_swept_by_the_next(
    store: OnlineStore, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = request.getfixturevalue("postgresql") if store.backend == "postgresql" else None
    rows, source = filled({1: 1})
    old = store.write("old", rows, source)
    store.point(old.name)
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    builder = context.Process(target=build_slowly, args=((tmp_path / "online", url), started))
    builder.start()
    assert started.wait(60)
    assert builder.pid is not None
    os.kill(builder.pid, signal.SIGKILL)
    builder.join()
    assert (store.current() or old).name == old.name
    opened = store.open(store.snapshot(old.name))
    assert opened.find(1) == (1).to_bytes(8, "little")
    opened.close()
    assert store.find("killed") is None
    new = store.write("new", *filled({1: 2}))
    assert stored(store, tmp_path, url) == {f"online_rows_{old.name}", f"online_rows_{new.name}"}


def stored(store: OnlineStore, tmp_path: Path, url: str | None) -> set[str]:
    """Name the files or tables of rows that are there."""
    if url is None:
        return {path.stem for path in (tmp_path / "online").glob("online_rows_*")}
    engine = create_engine(url)
    found = {name for name in inspect(engine).get_table_names() if name.startswith("online_rows_")}
    engine.dispose()
    return found


def test_a_row_that_was_changed_or_moved_fails_its_checksum(store: OnlineStore, families: dict[str, Version]) -> None:
    snapshot = build_snapshot(store, families)
    rows = store.open(snapshot)
    packed = rows.find(FIRST_ID)
    rows.close()
    assert packed is not None
    decoder = Decoder(snapshot.layout, everything(snapshot))
    for place in random.Random(3).sample(range(len(packed)), 100):
        harmed = bytearray(packed)
        harmed[place] ^= 1 << (place % 8)
        with pytest.raises(RowDamagedError):
            decoder.decode(FIRST_ID, bytes(harmed))
    for cut in (0, 3, 7, 50, len(packed) - 1):
        with pytest.raises(RowDamagedError):
            decoder.decode(FIRST_ID, packed[:cut])
    with pytest.raises(RowDamagedError):
        decoder.decode(FIRST_ID + 1, packed)


def rows_file(home: Path) -> Path:
    (path,) = (home / "online").glob("online_rows_*.sqlite")
    return path


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("cut", "bytes long instead of"),
        ("gone", "is missing"),
        ("garbage", "cannot be read"),
        ("index", "its index cannot be read"),
    ],
)
def test_a_store_damaged_before_the_start_makes_the_service_not_ready_in_words(
    harm: str, said: str, published: Published
) -> None:
    path = rows_file(published.home)
    if harm == "cut":
        path.write_bytes(path.read_bytes()[:-4096])
    elif harm == "gone":
        path.unlink()
    elif harm == "garbage":
        path.write_bytes(b"\xff" * path.stat().st_size)
    else:
        (published.home / "online" / "index.sqlite").write_bytes(b"no database" * 1000)
    with Client(published.home) as client:
        ready = client.get("/ready")
        assert ready.status == 503
        (reason,) = ready.json()["reasons"]
        assert said in reason
        assert "run `creditrisk run --select serving/online_features`" in reason
        assert client.post("/predict", KNOWN).json()["type"] == "urn:creditrisk:problem:not-ready"
        whole = {
            "applications": [published.portfolio.application(FIRST_ID)],
            "histories": published.portfolio.histories(FIRST_ID),
        }
        assert client.post("/predict", whole).status == 200


def test_a_row_damaged_under_the_service_scores_nobody_with_it(published: Published) -> None:
    path = rows_file(published.home)
    with sqlite3.connect(path) as connection:
        (table,) = connection.execute("select name from sqlite_master where type = 'table'").fetchone()
        (packed,) = connection.execute(f"select packed from {table} where sk_id_curr = {FIRST_ID}").fetchone()
    connection.close()
    content = path.read_bytes()
    place = content.index(packed[:64])
    path.write_bytes(content[: place + 40] + bytes([content[place + 40] ^ 255]) + content[place + 41 :])
    with Client(published.home) as client:
        reply = client.post("/predict", KNOWN)
        assert reply.status == 503
        assert "fails its checksum" in reply.json()["detail"]
        assert client.post("/predict", {"applicant_ids": [FIRST_ID + 1]}).status == 200


def test_states_tell_present_no_history_and_stale(published: Published) -> None:
    with Client(published.home) as client:
        answer = client.post("/predict", {"applicant_ids": [FIRST_ID, NO_HISTORY]}).json()
    assert [set(d["families"].values()) for d in answer["decisions"]] == [{"present"}, {"present", "no_history"}]
    with Client(published.home, family_max_age_hours={"bureau": 1e-9}) as client:
        answer = client.post("/predict", {"applicant_ids": [FIRST_ID, NO_HISTORY]}).json()
        for decision in answer["decisions"]:
            record = client.get(f"/decisions/{decision['decision_id']}").json()
            assert record["families"] == decision["families"]
        first, second = (decision["families"] for decision in answer["decisions"])
        assert first == {**dict.fromkeys(FAMILIES, "present"), "bureau": "stale"}
        assert second == {**dict.fromkeys(FAMILIES, "no_history"), "application": "present", "bureau": "stale"}
        # that a snapshot is old changes what is told of its values, not the values
        features = client.get(f"/decisions/{answer['decisions'][1]['decision_id']}").json()["features"]
        assert features["applicant__has_bureau"] is False


def test_confirming_a_snapshot_renews_its_age(published: Published) -> None:
    store = OnlineStore(published.home / "online")
    current = store.current()
    assert current is not None
    engine = create_engine(f"sqlite:///{published.home / 'online' / 'index.sqlite'}")
    with engine.begin() as connection:
        old = (datetime.now(UTC) - timedelta(hours=50)).isoformat(timespec="seconds")
        connection.execute(text("update online_pointer set verified_at = :old"), {"old": old})
    engine.dispose()
    with Client(published.home) as client:

        def states() -> set[str]:
            return set(client.post("/predict", KNOWN).json()["decisions"][0]["families"].values())

        assert states() == {"stale"}
        store.point(current.name)
        client.service.follower.refresh()
        assert states() == {"present"}
    store.close()


def test_an_age_for_no_family_is_refused_in_words(published: Published) -> None:
    with Client(published.home, family_max_age_hours={"burea": 3}) as client:
        assert "names burea, which is no family; known: application, " in client.get("/ready").json()["reasons"][0]


def test_readers_share_a_snapshot_between_threads(
    store: OnlineStore, families: dict[str, Version], template: Published
) -> None:
    publish_families(store, families)
    definitions = {name: family.definition for name, family in FAMILIES.items()}
    published = open_features(store, slots(template), definitions, FOREVER)
    keys = list(range(FIRST_ID, FIRST_ID + 40))
    expected = published.find(keys)
    problems: list[int] = []

    def look() -> None:
        for key in keys:
            if published.find([key]) != {key: expected[key]}:
                problems.append(key)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    published.rows.close()


def test_a_model_of_other_definitions_or_features_is_told_which(
    store: OnlineStore, families: dict[str, Version], template: Published
) -> None:
    publish_families(store, families)
    definitions = {name: family.definition for name, family in FAMILIES.items()}
    wanted = slots(template)
    invented = {**wanted.columns, "pos_cash": (*wanted.columns["pos_cash"], "pos_cash__invented_count"), "nothing": ()}
    with (
        patch.object(Slots, "columns", property(lambda _: invented)),
        pytest.raises(LookupUnavailableError) as caught,
    ):
        open_features(store, wanted, {**definitions, "bureau": "another", "nothing": ""}, FOREVER)
    for said in (
        "bureau in the online store was built by another definition",
        "pos_cash__invented_count",
        "features/nothing is not in",
    ):
        assert said in str(caught.value)


def test_a_database_started_anew_is_connected_to_again(
    postgresql: str, families: dict[str, Version], tmp_path: Path
) -> None:
    store = OnlineStore(tmp_path, postgresql)
    rows = store.open(publish_families(store, families))
    assert rows.find(FIRST_ID) is not None
    killer = create_engine(postgresql)
    with killer.begin() as connection:
        connection.execute(text("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()"))
    killer.dispose()
    assert rows.find(FIRST_ID) is not None
    rows.close()
    store.close()


def test_a_table_dropped_under_the_service_is_named_without_the_key(
    postgresql: str, families: dict[str, Version], template: Published, tmp_path: Path
) -> None:
    store = OnlineStore(tmp_path, postgresql)
    snapshot = publish_families(store, families)
    definitions = {name: family.definition for name, family in FAMILIES.items()}
    published = open_features(store, slots(template), definitions, FOREVER)
    engine = create_engine(postgresql)
    with engine.begin() as connection:
        connection.execute(text(f'drop table "online_rows_{snapshot.name}"'))
    engine.dispose()
    with pytest.raises(NotReadyError) as caught:
        published.find([FIRST_ID])
    assert "cannot be read (UndefinedTable); check that its database answers (CREDITRISK_ONLINE_STORE)" in str(
        caught.value
    )
    assert str(FIRST_ID) not in str(caught.value)
    published.rows.close()
    store.close()


def test_publishing_again_what_is_published_is_seen_by_its_name(published: Published) -> None:
    with Client(published.home) as client:
        before = client.service.follower.standing.champion
        publish_online(published.home)
        client.service.follower.refresh()
        after = client.service.follower.standing.champion
        assert before is not None
        assert after is not None
        assert before.published is not None
        assert after.published is not None
        assert before.published.versions == after.published.versions
        assert before.published.snapshot.name != after.published.snapshot.name
        assert client.post("/predict", KNOWN).status == 200
