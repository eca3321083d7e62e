"""One batch from its files to scores, rejected rows, manifest and record in the decision log.

What belongs here: the order of the steps, and that each is finished once. What does not: the steps (`inputs`, `checking`, `features`,
`scoring.batch`), options and words for a terminal (`commands`).

Steps leave finished files in a directory beside the output. A run that was killed goes on from there when input, model, policy, published
features and code are the same, and starts anew when one is not. The record is in the decision log before the output is at its place.
"""

from __future__ import annotations

import errno
import getpass
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version as release_of
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.features import spark
from creditrisk_assets.features.files import write
from creditrisk_assets.ingestion.quarantine import ReadPart
from creditrisk_assets.ingestion.reader import ReadResult
from creditrisk_assets.ingestion.table_file import TableFile
from creditrisk_assets.lake import Lake, sha256_file
from creditrisk_assets.modelling.bundle import EncodingError
from creditrisk_assets.resources.limits import limits
from creditrisk_assets.settings import Settings
from creditrisk_serving.batches import checking, features, inputs, rules
from creditrisk_serving.batches.champion import Champion
from creditrisk_serving.batches.checking import Checked
from creditrisk_serving.batches.inputs import BatchInputError
from creditrisk_serving.batches.record import ID_DIGITS, batch_record, input_sha256
from creditrisk_serving.batches.work import WorkDirectory
from creditrisk_serving.decisions.log import DecisionLog, new_decision_id
from creditrisk_serving.scoring import batch
from creditrisk_serving.scoring.lookup import check_definition

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FORMAT = 1
FULL, FULL_WORDS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG), ("No space left", "File too large")
CHUNK = 32_768  # applicants scored at once
MANIFEST, REJECTED, FEATURES, WORK = ".manifest.json", ".rejected", ".features.parquet", ".work"
SUFFIXES = (".parquet", ".csv")
CODE = code_version(batch, checking, features, inputs, rules)
Progress = Callable[[str, int, int], None]  # step, done, of


class BatchError(RuntimeError):
    """A batch cannot be scored; the message says why and what to do."""


@dataclass(frozen=True)
class Batch:
    """What is asked for.

    Parameters
    ----------
    source
        File of applications or directory of tables.
    out
        Where scores go: `.parquet` or `.csv`.
    histories
        Directory of histories; none: those of `source`, if it is a directory.
    overwrite
        Whether a finished output may be replaced.
    with_features
        Whether what the decisions were made from is written beside the scores, for monitoring.
    """

    source: Path
    out: Path
    histories: Path | None = None
    overwrite: bool = False
    with_features: bool = False

    @property
    def manifest(self) -> Path:
        """Where the manifest goes."""
        return self.out.with_name(self.out.name + MANIFEST)

    @property
    def rejected(self) -> Path:
        """Where rejected rows go."""
        return self.out.with_name(f"{self.out.name}{REJECTED}{self.out.suffix}")

    @property
    def features(self) -> Path:
        """Where features go, if they are asked for."""
        return self.out.with_name(f"{self.out.name}{FEATURES}")

    @property
    def work(self) -> Path:
        """Where it is made."""
        return self.out.with_name(f".{self.out.name}{WORK}")


@dataclass(frozen=True)
class Outcome:
    """What came of a batch."""

    manifest: Mapping[str, Any]
    resumed: bool
    anew_because: str | None  # what had been begun was given up

    @property
    def rejected_share(self) -> float:
        """Rejected applications as a share of all (0–1)."""
        return float(self.manifest["rejected"] / self.manifest["applications"])


def score_batch(
    asked: Batch,
    settings: Settings,
    load: Callable[[], Champion],
    log: DecisionLog,
    progress: Progress = lambda *_: None,
) -> Outcome:
    """Score a batch of raw applications.

    Parameters
    ----------
    asked
        Input and output.
    settings
        Limits, and where published features are.
    load
        Loads the model, once the output's place is known to be free.
    log
        The decision log; it is started when there is something to record.
    progress
        Told how far each step is.

    Raises
    ------
    BatchError
        The output is there already, or its directory is not.
    BatchInputError, IngestionError
        The input cannot be read.
    LakeError, LookupUnavailableError
        Features must be looked up, and were not published or mean something else.
    DecisionNotStoredError, DecisionUncertainError
        The decision log cannot be written; the next run goes on from there.
    """
    _require_place(asked)
    champion, work = load(), WorkDirectory(asked.work)
    files = inputs.find_files(asked.source, asked.histories, tuple(champion.bundle.plan["tables"]))
    with work.locked():
        run = _Run(asked, settings, champion, work, files, progress)
        with _in_words(asked.work):
            outcome = run.make()
        log.start()
        run.record(log, outcome.manifest)
        run.deliver()
        work.remove()
    return outcome


@contextmanager
def _in_words(work: Path) -> Iterator[None]:
    """Say what ran out, and keep the words of a database, which may hold an applicant's values, to itself."""
    again = "give the same command again: it goes on from the last finished step"
    try:
        yield
    except spark.SparkFailedError as error:
        raise BatchError(f"{error}; see its own log, and {again}") from None
    except (OSError, duckdb.Error, batch.BatchError) as error:
        if getattr(error, "errno", None) in FULL or any(words in str(error) for words in FULL_WORDS):
            raise BatchError(f"the disk of {work.parent.resolve()} is full; free space and {again}") from None
        if isinstance(error, duckdb.OutOfMemoryException):
            raise BatchError(f"the work does not fit CREDITRISK_MEMORY_LIMIT; raise it and {again}") from None
        if isinstance(error, duckdb.Error):
            raise BatchError(f"DuckDB could not go on ({type(error).__name__}); keep {work} and report it") from None
        raise


def _require_place(asked: Batch) -> None:
    if asked.out.suffix not in SUFFIXES:
        raise BatchError(f"{asked.out} ends neither in .parquet nor in .csv; name what is to be written")
    if not asked.out.parent.is_dir():
        raise BatchError(f"the directory {asked.out.parent} does not exist; make it first")
    half_delivered = not asked.manifest.exists() and (asked.work / "manifest.json").exists()
    if (asked.out.exists() or asked.manifest.exists()) and not asked.overwrite and not half_delivered:
        raise BatchError(f"{asked.out} was written before; give --overwrite to replace it, or choose another --out")


class _Run:
    """The steps of one batch."""

    def __init__(
        self,
        asked: Batch,
        settings: Settings,
        champion: Champion,
        work: WorkDirectory,
        files: Mapping[str, Sequence[TableFile]],
        progress: Progress,
    ) -> None:
        self._asked, self._settings, self._champion = asked, settings, champion
        self._work, self._files, self._progress = work, files, progress
        self._bundle = champion.bundle
        self._every = [file for table in files.values() for file in table]
        self._lake = Lake(settings.lake)

    def make(self) -> Outcome:
        """Make every file of the batch in the work directory."""
        digests = {}
        for number, file in enumerate(self._every):
            self._progress("reading", number, 2 * len(self._every))
            digests[file.address] = sha256_file(file.path)
        published = {
            name: version.version
            for name in self._bundle.plan["families"]
            if features.looks_up(name) and (version := self._lake.current(f"features/{name}")) is not None
        }
        made_from = {
            **digests,
            "model": self._champion.sha256,
            "policy": self._champion.policy_version,
            "published features": published,
            "engine": self._settings.engine,
            "code": CODE,
        }
        new = {"batch_id": new_batch_id(), "started_at": _now(), "source": f"creditrisk score by {_who()}"}
        kept, resumed, why = self._work.begin(made_from, new)
        with self._connection() as con:
            checked = self._check(con, digests)
            sources = self._features(con, published)
            output = self._output(con, sources)
            kept_features = self._kept_features(con, sources) if self._asked.with_features else None
            rejected = self._rejected(con, digests)
            manifest = self._work.finished(
                "manifest.json",
                lambda path: _write_json(
                    path, self._manifest(con, kept, digests, published, checked, output, (rejected, kept_features))
                ),
            )
        return Outcome(json.loads(manifest.read_text("utf-8")), resumed, why)

    def record(self, log: DecisionLog, manifest: Mapping[str, Any]) -> None:
        """Write the batch to the decision log, unless a run before this one did."""
        log.store_batch(batch_record(manifest, sha256_file(self._work.path / "manifest.json")))

    def deliver(self) -> None:
        """Move the finished files to their places, the manifest last."""
        self._asked.manifest.unlink(missing_ok=True)
        self._asked.rejected.unlink(missing_ok=True)
        self._asked.features.unlink(missing_ok=True)
        for made, place in (
            (f"rejected{self._asked.out.suffix}", self._asked.rejected),
            ("kept_features.parquet", self._asked.features),
            (f"output{self._asked.out.suffix}", self._asked.out),
            ("manifest.json", self._asked.manifest),
        ):
            if (self._work.path / made).exists():
                (self._work.path / made).replace(place)

    @contextmanager
    def _connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        spill = self._work.path / "spill"
        config = {**limits(self._settings), "temp_directory": str(spill)}
        with closing(duckdb.connect(config=config)) as con:
            con.execute("set enable_progress_bar = false")
            yield con

    def _check(self, con: duckdb.DuckDBPyConnection, digests: Mapping[str, str]) -> Checked:
        """Read and check the input; what is left in the work directory is typed rows and the ids that hold every rule."""

        def make(path: Path) -> None:
            parts = self._read(con, digests)
            self._progress("checking", 0, 1)
            found = checking.check_rows(
                con, self._bundle.plan, parts, accepted=self._accepted, rejected=self._work.path / "broken.parquet"
            )
            self._progress("checking", 1, 1)
            _write_json(path, asdict(found))

        return Checked(**json.loads(self._work.finished("checked.json", make).read_text("utf-8")))

    @property
    def _accepted(self) -> Path:
        return self._work.path / "accepted.parquet"

    def _read(self, con: duckdb.DuckDBPyConnection, digests: Mapping[str, str]) -> dict[str, list[ReadPart]]:
        parts: dict[str, list[ReadPart]] = {}
        for number, file in enumerate(self._every):
            self._progress("reading", len(self._every) + number, 2 * len(self._every))
            parts.setdefault(file.table, []).append(self._part(con, number, file, digests[file.address]))
        self._progress("reading", 1, 1)
        return parts

    def _part(self, con: duckdb.DuckDBPyConnection, number: int, file: TableFile, digest: str) -> ReadPart:
        table = inputs.planned(self._bundle.plan)[file.table]
        typed = self._typed()[file.address]
        rejects = typed.with_name(f"{number}.rejects.parquet")

        def read(path: Path) -> None:
            found = inputs.read_file(con, file, table, typed, rejects).read
            if found.sha256 != digest:
                raise BatchInputError(f"{file.address} was changed while it was read; run again")
            _write_json(path, asdict(found))

        known = self._work.finished(f"typed/{number}.json", read)
        return ReadPart(file, ReadResult(**json.loads(known.read_text("utf-8"))), typed, rejects)

    def _typed(self) -> dict[str, Path]:
        return {file.address: self._work.path / f"typed/{number}.parquet" for number, file in enumerate(self._every)}

    def _features(self, con: duckdb.DuckDBPyConnection, published: Mapping[str, str]) -> features.Sources:
        """Compute every family from the input, and find those that are looked up."""
        typed = self._typed()
        paths = {table: [typed[file.address] for file in files] for table, files in self._files.items()}
        families = self._bundle.plan["families"]

        def compute(name: str, session: SparkSession | None, out: Path) -> None:
            lost = features.compute_family(con, self._bundle, name, paths, self._accepted, out, session)
            _write_json(self._work.path / f"families/{name}.lost.json", lost)

        computed = {name: self._work.path / f"families/{name}.parquet" for name in families}
        left = [name for name in families if not computed[name].exists()]
        with spark.chosen_session(self._settings) if left else nullcontext() as session:
            for name in left:
                self._progress("features", len(families) - len(left) + left.index(name), len(families))
                self._work.finished(f"families/{name}.parquet", partial(compute, name, session))
        self._progress("features", 1, 1)
        lost = _lost(self._work.path / "families")
        scorable = self._work.finished(
            "scorable.parquet", partial(features.write_scorable, con, self._accepted, sorted(lost))
        )
        looked_up = {}
        if con.execute(f"select 1 from {parquet(scorable)} where not sent limit 1").fetchone():  # noqa: S608 -- quoted path
            for name, family in families.items():
                if features.looks_up(name):
                    key = f"features/{name}"
                    found = self._lake.version(key, published[name]) if name in published else self._lake.require(key)
                    check_definition(found, family["definition"])
                    looked_up[name] = found.data
        return features.Sources(scorable, computed, looked_up)

    def _output(self, con: duckdb.DuckDBPyConnection, sources: features.Sources) -> Path:
        """Score the applicants, a finished file for so many, and put them together."""

        def score(number: int, rows: str, out: Path) -> None:
            lost: list[int] = []
            try:
                batch.score_features(self._bundle, rows, out, connection=con)
            except EncodingError:
                lost = features.infinite(con, self._bundle, rows)
                batch.score_features(self._bundle, features.without(rows, lost), out, connection=con)
            _write_json(self._work.path / f"chunks/{number:06d}.lost.json", lost)

        cut = features.ranges(con, sources.scorable, CHUNK)
        chunks = []
        for number, (first, last) in enumerate(cut):
            self._progress("scoring", number, len(cut))
            rows = features.relation(self._bundle, sources, first, last)
            chunks.append(self._work.finished(f"chunks/{number:06d}.parquet", partial(score, number, rows)))
        self._progress("scoring", 1, 1)
        return self._work.finished(f"output{self._asked.out.suffix}", lambda path: _join(chunks, batch.SCHEMA, path))

    def _kept_features(self, con: duckdb.DuckDBPyConnection, sources: features.Sources) -> Path:
        """Write what the scored applicants were decided on, one row each, by id."""

        def make(path: Path) -> None:
            cut = features.ranges(con, sources.scorable, CHUNK) or [(0, 0)]  # nobody: the columns alone
            rows = features.relation(self._bundle, sources, cut[0][0], cut[-1][1])
            lost = sorted(_lost(self._work.path / "chunks"))
            write(con, f"select * from {features.without(rows, lost)}", path)  # noqa: S608 -- names of the plan, quoted paths

        return self._work.finished("kept_features.parquet", make)

    def _rejected(self, con: duckdb.DuckDBPyConnection, digests: Mapping[str, str]) -> Path | None:
        """Write the rejected rows in the format of the output; no file where there are none."""
        broken = self._work.path / "broken.parquet"
        lost = sorted({*_lost(self._work.path / "families"), *_lost(self._work.path / "chunks")})

        def make(path: Path) -> None:
            if lost:
                parts = self._read(con, digests)
                checking.reject_uncomputable(con, parts, lost, accepted=self._accepted, rejected=broken, out=path)
            else:
                shutil.copyfile(broken, path)

        rows = pq.ParquetFile(self._work.finished("rejects.parquet", make))
        if not rows.metadata.num_rows:
            return None
        return self._work.finished(
            f"rejected{self._asked.out.suffix}",
            partial(_join, [self._work.path / "rejects.parquet"], rows.schema_arrow),
        )

    def _manifest(
        self,
        con: duckdb.DuckDBPyConnection,
        kept: Mapping[str, Any],
        digests: Mapping[str, str],
        published: Mapping[str, str],
        checked: Checked,
        output: Path,
        beside: tuple[Path | None, Path | None],
    ) -> dict[str, Any]:
        scores, rejects = self._work.path / "chunks", self._work.path / "rejects.parquet"
        rejected, kept_features = beside
        mix: list[tuple[str, str, int, int]] = []
        if chunks := sorted(scores.glob("*.parquet")):
            mix = con.execute(
                f"select decision, band, count(*), count_if(sent) from {parquet(*chunks)} join "  # noqa: S608 -- quoted paths
                f"{parquet(self._work.path / 'scorable.parquet')} on id = sk_id_curr group by decision, band"
            ).fetchall()
        scored, sent = sum(row[2] for row in mix), sum(row[3] for row in mix)
        if checked.applications != scored + (refused := checking.rejected_applications(con, rejects)):
            raise RuntimeError(
                f"{checked.applications} applications, {scored} scored and {refused} rejected: this is a defect"
            )
        return {
            "format": FORMAT,
            **kept,
            "finished_at": _now(),
            "release": release_of("creditrisk"),
            "code_version": CODE,
            "engine": self._settings.engine,
            "model_version": self._bundle.version,
            "bundle_sha256": self._champion.sha256,
            "policy_version": self._champion.policy_version,
            "inputs": [
                {
                    "table": file.table,
                    "path": file.address,
                    "sha256": digests[file.address],
                    "bytes": file.path.stat().st_size,
                }
                for file in self._every
            ],
            "input_sha256": input_sha256(digests),
            "applications": checked.applications,
            "scored": scored,
            "rejected": refused,
            "rejected_rows": checking.rejected_rules(con, rejects),
            "features_from_input": sent,
            "features_looked_up": scored - sent,
            "feature_versions": dict(published) if sent < scored else {},
            "history_rows_of_others": dict(checked.others),
            "decisions": _sums((decision, count) for decision, _, count, _ in mix),
            "bands": _sums((band, count) for _, band, count, _ in mix),
            "output": _described(output, self._asked.out.name),
            "rejected_output": None if rejected is None else _described(rejected, self._asked.rejected.name),
            "features_output": None if kept_features is None else _described(kept_features, self._asked.features.name),
        }


def new_batch_id() -> str:
    """Make an id that sorts by time, as a decision's."""
    return new_decision_id()[:ID_DIGITS]


def _lost(directory: Path) -> set[int]:
    """Read of whom no feature, or an infinite one, was computed."""
    return {id_ for path in directory.glob("*.lost.json") for id_ in json.loads(path.read_text("utf-8"))}


def _join(pieces: Sequence[Path], schema: pa.Schema, out: Path) -> None:
    """Put Parquet files together as one Parquet or CSV file, a row group at a time."""
    opened = (
        pa.csv.CSVWriter(out, schema) if out.suffix == ".csv" else pq.ParquetWriter(out, schema, compression="zstd")
    )
    with opened as writer:
        for piece in pieces:
            file = pq.ParquetFile(piece)
            for group in range(file.num_row_groups):
                writer.write_table(file.read_row_group(group).cast(schema))


def _described(made: Path, name: str) -> dict[str, Any]:
    return {"name": name, "sha256": sha256_file(made), "bytes": made.stat().st_size}


def _sums(pairs: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, count in pairs:
        found[name] = found.get(name, 0) + count
    return dict(sorted(found.items()))


def _write_json(path: Path, values: Any) -> None:
    path.write_text(json.dumps(values, indent=1), "utf-8")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _who() -> str:
    """Name the account that asks."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in a container
        return f"user {os.getuid()}"
