"""The lake: what is published is whole, what is not is never seen."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from creditrisk_assets.lake import Lake, LakeError, write_atomically


def publish(lake: Lake, text: str = "rows", key: str = "raw/bureau", code: str = "c1", **inputs: str) -> str:
    with lake.draft(key) as draft:
        draft.data.write_text(text)
        return lake.publish(draft, code_version=code, inputs=inputs, metadata={"rows": 1}).version


def test_a_published_version_is_the_current_one(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    publish(lake, "first")
    second = publish(lake, "second")
    current = lake.require("raw/bureau")
    assert current.version == second
    assert current.data.read_text() == "second"
    assert current.manifest.metadata["rows"] == 1


def test_equal_content_is_the_same_version(tmp_path: Path) -> None:
    assert publish(Lake(tmp_path), "same") == publish(Lake(tmp_path), "same") != publish(Lake(tmp_path), "other")


def test_a_draft_that_is_not_published_leaves_the_last_good_version(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    good = publish(lake, "good")

    def break_on_the_way() -> None:
        with lake.draft("raw/bureau") as draft:
            draft.data.write_text("half")
            raise RuntimeError("broken on the way")

    with pytest.raises(RuntimeError, match="broken on the way"):
        break_on_the_way()
    assert lake.require("raw/bureau").version == good
    assert not list((tmp_path / "raw" / "bureau").glob(".draft-*"))


def test_a_killed_writer_leaves_no_trace_after_the_next_draft(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from creditrisk_assets.lake import Lake\n"
        "with Lake(Path(sys.argv[1])).draft('raw/bureau') as draft:\n"
        "    draft.data.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert killed.returncode == -9
    assert len(list((tmp_path / "raw" / "bureau").glob(".draft-*"))) == 1
    lake = Lake(tmp_path)
    assert lake.current("raw/bureau") is None
    publish(lake)
    assert not list((tmp_path / "raw" / "bureau").glob(".draft-*"))


def test_a_living_writers_draft_is_left_alone(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    with lake.draft("raw/bureau") as first:
        first.data.write_text("first")
        publish(lake, "second")
        lake.publish(first, code_version="c", inputs={})
    assert lake.require("raw/bureau").data.read_text() == "first"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"code_version": "c2"}, "its code changed"),
        ({"inputs": {"raw/a": "2"}}, "changed: raw/a"),
        ({"inputs": {}}, "changed: raw/a"),
        ({"inputs": {"raw/a": "1", "raw/b": "1"}}, "changed: raw/b"),
    ],
)
def test_a_version_is_not_reused_when_what_made_it_changed(tmp_path: Path, change: dict, why: str) -> None:
    lake = Lake(tmp_path)
    with lake.draft("features/a") as draft:
        draft.data.write_text("x")
        lake.publish(draft, code_version="c1", inputs={"raw/a": "1"})
    same = {"code_version": "c1", "inputs": {"raw/a": "1"}}
    assert lake.reusable("features/a", **same)[0] is not None
    assert lake.reusable("features/a", **(same | change)) == (None, why)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"inputs": {"relaxations": "r"}}, "unchanged"),
        ({"inputs": {"relaxations": "r", "raw/a": "2"}}, "unchanged"),
        ({"inputs": {}}, "changed: relaxations"),
        ({"inputs": {"relaxations": "r", "engine": "e"}}, "changed: engine"),
        ({"inputs": {"relaxations": "r"}, "code_version": "c2"}, "its code changed"),
    ],
)
def test_an_input_that_is_made_up_for_may_have_changed_and_no_other(tmp_path: Path, change: dict, why: str) -> None:
    lake = Lake(tmp_path)
    made = publish(lake, key="features/a", **{"raw/a": "1", "relaxations": "r"})
    found, reason = lake.reusable("features/a", **({"code_version": "c1"} | change), but=["raw/a"])
    assert reason == why
    assert (found.version if found else None) == (made if why == "unchanged" else None)


def test_no_version_goes_when_others_are_published_and_the_dead_are_swept(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    made = {text: publish(lake, text) for text in ("first", "second", "third")}
    (tmp_path / "raw" / "bureau" / ".draft-999999999-dead").mkdir()
    made["last"] = publish(lake, "last")
    assert not list((tmp_path / "raw" / "bureau").glob(".draft-*"))
    for text, name in made.items():
        version = lake.version("raw/bureau", name)
        assert version.damage() is None
        assert version.data.read_text() == text
    lake.version("raw/bureau", made["first"]).data.write_text("other")
    assert lake.version("raw/bureau", made["first"]).damage() == "data.parquet"


@pytest.mark.parametrize("damage", ["changed", "deleted"])
def test_a_damaged_file_is_not_reused(tmp_path: Path, damage: str) -> None:
    lake = Lake(tmp_path)
    publish(lake)
    data = lake.require("raw/bureau").data
    data.write_text("changed") if damage == "changed" else data.unlink()
    found, why = lake.reusable("raw/bureau", code_version="c1", inputs={})
    assert found is None
    assert "data.parquet was damaged" in why
    healed = publish(lake)
    assert lake.require("raw/bureau").version == healed
    assert lake.require("raw/bureau").data.read_text() == "rows"


def test_a_missing_artefact_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(LakeError, match=r"raw/bureau was never published; run `creditrisk run --select raw/bureau`"):
        Lake(tmp_path).require("raw/bureau")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_damaged_pointer_is_named_and_rebuilt(tmp_path: Path, content: str) -> None:
    lake = Lake(tmp_path)
    publish(lake)
    (tmp_path / "raw" / "bureau" / "CURRENT").write_text(content)
    with pytest.raises(LakeError, match=r"the pointer .* is damaged"):
        lake.current("raw/bureau")
    assert lake.reusable("raw/bureau", code_version="c1", inputs={})[0] is None
    publish(lake)
    assert lake.require("raw/bureau").data.read_text() == "rows"


def test_two_writers_at_once_both_end_whole(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from creditrisk_assets.lake import Lake\n"
        "lake = Lake(Path(sys.argv[1]))\n"
        "for n in range(20):\n"
        "    with lake.draft('raw/bureau') as draft:\n"
        "        draft.data.write_text(str(n % 3))\n"
        "        lake.publish(draft, code_version='c', inputs={})\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path)]) for _ in range(2)]
    assert [writer.wait() for writer in writers] == [0, 0]
    lake = Lake(tmp_path)
    assert lake.reusable("raw/bureau", code_version="c", inputs={})[0] is not None
    assert len(list((tmp_path / "raw" / "bureau" / "versions").iterdir())) == 3


def test_nothing_to_publish_is_refused(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    with lake.draft("raw/bureau") as draft, pytest.raises(LakeError, match="nothing was written"):
        lake.publish(draft, code_version="c", inputs={})


def test_a_small_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "reports" / "summary.json"
    write_atomically(path, json.dumps({"a": 1}))
    write_atomically(path, json.dumps({"a": 2}))
    assert json.loads(path.read_text()) == {"a": 2}
    assert [file.name for file in path.parent.iterdir()] == ["summary.json"]


def test_an_earlier_version_can_be_made_the_last_good_one_again(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    names = []
    for text in ("one", "two"):
        with lake.draft("raw/x") as draft:
            draft.data.write_text(text)
            names.append(lake.publish(draft, code_version="c", inputs={}).version)
    lake.restore("raw/x", names[0])
    assert lake.require("raw/x").version == names[0]
    with pytest.raises(LakeError, match="missing or damaged"):
        lake.restore("raw/x", "0" * 64)
    assert lake.require("raw/x").version == names[0]
