"""Pruning: what anything refers to stays, with all it was made from."""

from datetime import UTC, datetime

from creditrisk_assets.lake import Manifest
from creditrisk_assets.registry.retention import Stored, bundles_to_remove, versions_to_remove

OLD, NEW = "2026-01-01T00:00:00+00:00", "2026-05-01T00:00:00+00:00"
BEFORE = datetime(2026, 3, 1, tzinfo=UTC)


def manifest(key: str, version: str, inputs: dict[str, str] | None = None, at: str = OLD, **facts: str) -> Manifest:
    return Manifest(key, version, "code", inputs or {}, {}, at, {"facts": facts})


def test_a_bundle_goes_only_if_it_is_old_and_nothing_names_it() -> None:
    stored = [Stored(name, at, {}) for name, at in (("a", OLD), ("b", OLD), ("c", NEW))]
    assert bundles_to_remove(stored, {"b"}, BEFORE) == ["a"]
    assert bundles_to_remove(stored, {"a", "b"}, BEFORE) == []


def test_what_a_model_or_a_decision_was_made_from_stays() -> None:
    manifests = [
        manifest("raw/x", "1"), manifest("raw/x", "2"), manifest("raw/x", "3"), manifest("raw/x", "4"),
        manifest("features/x", "1", {"raw/x": "1"}), manifest("features/x", "2", {"raw/x": "2"}),
        manifest("features/x", "3", {"raw/x": "3"}), manifest("features/x", "4", {"raw/x": "4", "policy": "p"}),
        manifest("model/validation", "v", model_version="kept"), manifest("model/validation", "w", model_version="gone"),
        manifest("registry/canary", "c", candidate="kept"), manifest("raw/y", "young", at=NEW),
    ]  # fmt: skip
    current = {("features/x", "4"), ("raw/x", "4")}
    bundles = [Stored("kept", OLD, {"features/x": "1", "split": "not in the lake"})]
    removed = versions_to_remove(manifests, current, bundles, {("features/x", "2")}, BEFORE)
    assert removed == [("features/x", "3"), ("model/validation", "w"), ("raw/x", "3")]
