"""The online store as an asset, and the sensor that renews it when a family is published anew."""

import json
from collections.abc import Iterator, Mapping

import dagster as dg

from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.defs.artefact import Artefact, CheckOutcome, Made, Work, asset_key
from creditrisk_assets.defs.columns import schema_of
from creditrisk_assets.defs.vocabulary import Describe
from creditrisk_assets.features.families import FAMILIES
from creditrisk_assets.lake import Lake, LakeError, Version
from creditrisk_assets.settings import Settings
from creditrisk_serving.online import build, layout, publish
from creditrisk_serving.online.store import OnlineStore, OnlineStoreError

KEY = "serving/online_features"
DESCRIPTION = "snapshot.json"
FAMILY_KEYS = {name: f"features/{name}" for name in FAMILIES}
EVERY_ONE = {"every_applicant_stored": "Each application has exactly one row in the online store."}
EQUAL = {
    "store_equals_lake": "Applicants read back by key have the values of the families' files, in type and to the last bit."
}
SHOWN = 5


def online_store(settings: Settings) -> OnlineStore:
    """Return the store the settings name."""
    return OnlineStore(settings.online, settings.online_store_url)


def _make(work: Work) -> Made:
    versions = {name: work.inputs[key] for name, key in FAMILY_KEYS.items()}
    applications = int(versions[publish.FIRST].manifest.metadata["facts"]["rows"])
    store = online_store(work.settings)
    try:
        snapshot = publish.build_snapshot(store, versions)
        proof = publish.prove(store, snapshot, versions)
    finally:
        store.close()
    description = {
        "version": snapshot.version,
        "families": {name: version.version for name, version in versions.items()},
    }
    (work.draft.path / DESCRIPTION).write_text(json.dumps(description, indent=1, sort_keys=True), "utf-8")
    stored = CheckOutcome(
        "every_applicant_stored",
        passed=snapshot.rows == applications,
        facts={
            "description": f"{applications:,} applications, {snapshot.rows:,} rows",
            "applications": applications,
            "rows": snapshot.rows,
        },
    )
    worst = sorted(proof.differing.items(), key=lambda item: (-item[1], item[0]))[:SHOWN]
    equal = CheckOutcome(
        "store_equals_lake",
        passed=not proof.differing,
        facts={
            "description": f"{proof.rows:,} applicants read back, {len(proof.differing)} features differ",
            "rows": proof.rows,
            **({"differing": [{"feature": name, "rows": count} for name, count in worst]} if worst else {}),
        },
    )
    facts = {
        "rows": snapshot.rows,
        "features": sum(len(family.columns) for family in snapshot.layout.families),
        "store": store.backend,
        "store_bytes": snapshot.bytes,
    }
    return Made(facts, [stored, equal])


def _point(settings: Settings, lake: Lake, version: Version) -> None:
    """Make the version's snapshot current, and confirm it when it is; build it again when its rows are not intact."""
    description = json.loads((version.path / DESCRIPTION).read_text("utf-8"))
    store = online_store(settings)
    try:
        if (snapshot := store.find(description["version"])) is None:
            families = {name: lake.version(FAMILY_KEYS[name], of) for name, of in description["families"].items()}
            snapshot = publish.build_snapshot(store, families)
        store.point(snapshot.name)
        store.prune()
    finally:
        store.close()


def _columns() -> Iterator[dg.TableColumn]:
    """Yield the key and every family's features; a row packs them into one value."""
    seen: set[str] = set()
    for family in FAMILIES.values():
        for column in schema_of(family.contract).columns:
            if column.name not in seen:
                seen.add(column.name)
                yield column


def _show(version: Version) -> Mapping[str, dg.MetadataValue]:
    facts = version.manifest.metadata["facts"]
    return {
        "store": dg.MetadataValue.text(facts["store"]),
        "features": dg.MetadataValue.int(facts["features"]),
        "store_mb": dg.MetadataValue.float(round(facts["store_bytes"] / 1e6, 1)),
    }


ONLINE = Artefact(
    key=KEY,
    group="serving",
    kinds=frozenset({"parquet", "sqlite"}),
    describe=Describe(
        what="The features of every applicant, one row per key, for lookups at the moment of decision.",
        grain="one row per SK_ID_CURR",
        built_from=", ".join(f"`{key}`" for key in FAMILY_KEYS.values()),
        known_at="the application day",
        consumed_by="the scoring API, which follows its pointer",
        fails_when="an applicant has no row, or a value read back is not that of the family's file",
        source="creditrisk_serving/online/build.py",
    ),
    code_version=code_version(build, layout),
    make=_make,
    show=_show,
    deps=tuple(FAMILY_KEYS.values()),
    checks=EVERY_ONE | EQUAL,
    also_from=lambda settings, _lake: {"store": online_store(settings).backend},
    export=_point,
    columns=dg.TableSchema(columns=[*_columns()]),
)
ARTEFACTS = (ONLINE,)

refresh_online_store = dg.define_asset_job(
    "refresh_online_store",
    selection=dg.AssetSelection.assets(asset_key(KEY)),
    description="The online store, from the families as they are published now.",
)


def renewal(settings: Settings, lake: Lake) -> str | None:
    """Tell which version of the online store is due; None while it is current, or a family was never published."""
    try:
        versions = {name: lake.require(key) for name, key in FAMILY_KEYS.items()}
        due = publish.snapshot_version(versions)
        store = online_store(settings)
        try:
            current = store.current()
            return None if current is not None and store.snapshot(current.name).version == due else due
        finally:
            store.close()
    except (LakeError, OnlineStoreError, KeyError):
        return None  # the nightly run says in words what is wrong


@dg.sensor(
    job=refresh_online_store,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Launches `refresh_online_store` when a family was published anew: a model trained on it waits for its lookups.",
)
def on_new_features(_context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Renew the store once per set of families."""
    settings = Settings()
    due = renewal(settings, Lake(settings.lake))
    return dg.SkipReason("the online store is current") if due is None else dg.RunRequest(run_key=due)
