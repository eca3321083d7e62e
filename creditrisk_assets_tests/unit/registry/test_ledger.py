"""The ledger: who was champion when, and that no edit without the key goes unseen."""

import json
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr

from creditrisk_assets.modelling.signing import public_bytes
from creditrisk_assets.registry.ledger import (
    GENESIS,
    BusyError,
    Event,
    Ledger,
    LedgerError,
    champion_at,
    champion_before,
    interrupted,
    link,
)

KEY = Ed25519PrivateKey.generate()
DAY = "2026-05-0{}T14:00:00.000000+00:00"


def open_ledger(home: Path, key: Ed25519PrivateKey | None = KEY) -> Ledger:
    url = SecretStr(f"sqlite:///{home / 'registry.db'}")
    return Ledger(url, home / "checkpoints" / "registry.jsonl", public_bytes(KEY), key)


def change(version: str, day: int = 1, kind: str = "promotion", phase: str = "done") -> Event:
    return Event(kind, version, "Ada", "a reason", "e" * 64, phase, at=DAY.format(day))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory with a ledger of three promotions."""
    with open_ledger(tmp_path) as ledger:
        for day, version in enumerate(("a", "b", "c"), start=1):
            ledger.append(change(version, day))
    return tmp_path


def edit(home: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(home / "registry.db") as connection:
        connection.execute(statement, values)
    connection.close()


def findings(home: Path) -> tuple[str, ...]:
    with open_ledger(home, None) as ledger:
        return ledger.verify().findings


def test_an_untouched_ledger_verifies_without_the_private_key(home: Path) -> None:
    with open_ledger(home, None) as ledger:
        found = ledger.verify()
        assert (found.entries, found.checkpoints, found.findings) == (3, 3, ())
        with pytest.raises(LedgerError, match="opened for reading"):
            ledger.append(change("d"))


def test_a_ledger_nobody_wrote_to_is_empty_and_is_not_made(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        assert ledger.entries() == ()
        assert ledger.verify().findings == ()
    assert list(tmp_path.iterdir()) == []


def test_one_byte_of_an_entry_changed_is_found_wherever_it_is(home: Path) -> None:
    with open_ledger(home, None) as ledger:
        content = ledger.entries()[1].event.to_json()
        for place, byte in list(enumerate(content))[::4]:
            changed = content[:place] + ("x" if byte != "x" else "y") + content[place + 1 :]
            edit(home, "update ledger set content = ? where sequence = 2", changed)
            assert any("entry 2 was changed" in finding for finding in ledger.verify().findings), place
        edit(home, "update ledger set content = ? where sequence = 2", content)
        assert ledger.verify().findings == ()


def rewrite_from_the_second(home: Path) -> None:
    """Make the chain anew without the key, as somebody who reads this code would."""
    before = None
    with sqlite3.connect(home / "registry.db") as connection:
        for sequence, content in connection.execute(
            "select sequence, content from ledger order by sequence"
        ).fetchall():
            if sequence == 2:
                content = json.dumps({**json.loads(content), "identity": "Eve"}, sort_keys=True, separators=(",", ":"))
            before = link(before or GENESIS, sequence, content)
            connection.execute(
                "update ledger set content = ?, hash = ? where sequence = ?", (content, before, sequence)
            )
    connection.close()


def cut_the_end(home: Path) -> None:
    edit(home, "delete from ledger where sequence = 3")


def swap_two(home: Path) -> None:
    edit(home, "update ledger set sequence = 9 where sequence = 2")
    edit(home, "update ledger set sequence = 2 where sequence = 3")
    edit(home, "update ledger set sequence = 3 where sequence = 9")


def take_one_out(home: Path) -> None:
    edit(home, "delete from ledger where sequence = 2")


def sign_by_a_stranger(home: Path) -> None:
    with open_ledger(home, Ed25519PrivateKey.generate()) as stranger:
        stranger.append(change("d", 4))


def empty_it(home: Path) -> None:
    edit(home, "delete from ledger")


def forge_a_checkpoint(home: Path) -> None:
    path = home / "checkpoints" / "registry.jsonl"
    path.write_text(path.read_text().replace('"records": 3', '"records": 2'))


def lose_the_checkpoints(home: Path) -> None:
    (home / "checkpoints" / "registry.jsonl").unlink()


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (rewrite_from_the_second, "entry 2 is not signed"),
        (cut_the_end, "entry 3 was cut off"),
        (swap_two, "entry 2 was changed"),
        (take_one_out, "entries before 3 are not all there"),
        (sign_by_a_stranger, "entry 4 is not signed"),
        (empty_it, "entry 1 was cut off"),
        (forge_a_checkpoint, "line 3"),
        (lose_the_checkpoints, "no checkpoint is left"),
    ],
)
def test_every_edit_without_the_key_is_found(home: Path, harm: Callable[[Path], None], words: str) -> None:
    harm(home)
    assert any(words in finding for finding in findings(home)), findings(home)


def test_an_entry_whose_checkpoint_was_not_written_is_no_finding_and_the_next_covers_it(home: Path) -> None:
    path = home / "checkpoints" / "registry.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))  # killed between the entry and its checkpoint
    assert findings(home) == ()
    with open_ledger(home) as ledger:
        ledger.append(change("d", 4))
    cut_the_end(home)
    assert findings(home) != ()


def test_many_who_append_at_once_make_one_chain(tmp_path: Path) -> None:
    def append() -> None:
        with open_ledger(tmp_path) as ledger:
            for _ in range(3):
                ledger.append(change("a"))

    threads = [threading.Thread(target=append) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with open_ledger(tmp_path, None) as ledger:
        assert (ledger.verify().entries, ledger.verify().findings) == (9, ())


def test_nothing_is_written_after_an_entry_the_platform_did_not_write(home: Path) -> None:
    with open_ledger(home) as ledger:
        content, before = change("d", 4).to_json(), ledger.entries()[-1].hash
    edit(home, "insert into ledger values (4, ?, ?, ?)", content, link(before, 4, content), "A" * 88)
    with open_ledger(home) as ledger:
        with pytest.raises(LedgerError, match="the last entry of the ledger, 4, is not as the platform wrote it"):
            ledger.append(change("e", 5))
        assert ledger.damage() == ("entry 4 is not signed by the platform's key",)


def test_the_champion_of_a_moment_is_told(home: Path) -> None:
    with open_ledger(home) as ledger:
        ledger.append(change("d", 5, phase="intent"))
        ledger.append(change("d", 6, phase="undone"))
        entries = ledger.entries()
    moments = {day: champion_at(entries, datetime(2026, 5, day, 15, tzinfo=UTC)) for day in (1, 2, 6)}
    assert {day: entry.event.model_version for day, entry in moments.items() if entry} == {1: "a", 2: "b", 6: "c"}
    assert champion_at(entries, datetime(2026, 5, 1, 13, tzinfo=UTC)) is None


def test_rollbacks_go_back_version_by_version(home: Path) -> None:
    with open_ledger(home) as ledger:
        assert champion_before(ledger.entries()) == "b"
        ledger.append(change("b", 4, "rollback"))
        assert champion_before(ledger.entries()) == "a"
        ledger.append(change("d", 5))
        assert champion_before(ledger.entries()) == "b"
        ledger.append(change("b", 6, "rollback"))
        ledger.append(change("a", 7, "rollback"))
        assert champion_before(ledger.entries()) is None


def test_a_change_that_was_begun_is_seen_until_it_ends(home: Path) -> None:
    with open_ledger(home) as ledger:
        assert interrupted(ledger.entries()) is None
        ledger.append(change("d", 4, phase="intent"))
        ledger.append(Event("approval", "e", "Ada", "meanwhile"))
        begun = interrupted(ledger.entries())
        assert begun is not None
        assert begun.event.model_version == "d"
        ledger.append(change("d", 5, phase="undone"))
        assert interrupted(ledger.entries()) is None


def test_the_second_of_two_changes_at_once_is_refused(home: Path) -> None:
    with (
        open_ledger(home) as first,
        open_ledger(home) as second,
        first.exclusive(home / "lock"),
        pytest.raises(BusyError, match="under way"),
        second.exclusive(home / "lock"),
    ):
        pass
    with open_ledger(home) as again, again.exclusive(home / "lock"):
        pass


def test_an_address_that_is_none_is_refused_without_showing_it(tmp_path: Path) -> None:
    with pytest.raises(LedgerError) as refused:
        Ledger(SecretStr("secret password"), tmp_path, b"", None)
    assert "secret" not in str(refused.value)


def test_a_replaced_key_may_have_signed_what_came_before_and_nothing_after(home: Path) -> None:
    new = Ed25519PrivateKey.generate()

    def opened(key: Ed25519PrivateKey | None) -> Ledger:
        url, both = SecretStr(f"sqlite:///{home / 'registry.db'}"), public_bytes(new) + public_bytes(KEY)
        return Ledger(url, home / "checkpoints" / "registry.jsonl", both, key)

    with opened(new) as ledger:
        ledger.append(change("d", 4))
        assert ledger.verify().findings == ()
    with opened(KEY) as ledger:  # whoever has the old key goes on with it
        ledger.append(change("e", 5))
        assert len(ledger.verify().findings) == 2, "the entry, and its checkpoint"
    assert findings(home), "who trusts the old key alone does not take the new one"


@pytest.mark.parametrize("harm", [rewrite_from_the_second, cut_the_end, swap_two])
def test_the_last_signatures_alone_find_what_was_edited(home: Path, harm: Callable[[Path], None]) -> None:
    with open_ledger(home, None) as ledger:
        assert ledger.verify(quick=True).findings == ()
        harm(home)
        assert ledger.verify(quick=True).findings


def test_a_quick_look_verifies_two_signatures_and_every_hash(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_ledger(home, None) as ledger:
        verified = []
        signer = ledger._signer
        monkeypatch.setattr(ledger, "_signer", lambda *given: verified.append(given) or signer(*given))
        assert ledger.verify(quick=True).findings == ()
        assert len(verified) == 2
        edit(home, "update ledger set content = replace(content, 'Ada', 'Eve') where sequence = 1")
        assert ledger.verify(quick=True).findings == ("entry 1 was changed, or the one before it",)


def test_the_doctor_says_what_it_looked_at_and_what_is_damaged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from creditrisk_assets import promoting
    from creditrisk_assets.defs.promotion import open_ledger as open_own
    from creditrisk_assets.settings import Settings

    monkeypatch.setenv("CREDITRISK_HOME", str(tmp_path))
    settings = Settings()
    assert promoting.check_ledger(settings) == (True, "nothing was written yet")
    with open_own(settings) as ledger:
        ledger.append(change("a"))
    assert promoting.check_ledger(settings) == (True, "chain of 1 entries, signatures of the last entry and checkpoint")
    edit(tmp_path, "update ledger set content = replace(content, 'Ada', 'Eve')")
    good, words = promoting.check_ledger(settings)
    assert not good
    assert words.endswith("; entry 1 was changed, or the one before it")
    (tmp_path / "registry.db").write_bytes(b"no database" * 100)
    assert promoting.check_ledger(settings) == (False, "its database cannot be read")
