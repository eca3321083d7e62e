"""Write a sample portfolio: eight CSV files and portfolio.json, all or nothing.

What belongs here: the public call, processes, progress, atomic publishing, reuse. What does not: the data (`chunks` and the tables'
modules), file formats (`writer`).
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import multiprocessing
import multiprocessing.connection
import os
import shutil
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb
import numpy as np

from creditrisk_assets.simulation.chunks import Placed, generate, place, plan_chunks
from creditrisk_assets.simulation.sampling import FloatArray, IntArray
from creditrisk_assets.simulation.scenarios import scenario_named
from creditrisk_assets.simulation.writer import Part, append_part, write_parts

DESCRIPTION = "portfolio.json"
LARGEST_SCALE = 5.0
ROWS_AT_SCALE_1 = {
    "application_train": 307_511,
    "application_test": 48_744,
    "bureau": 1_716_428,
    "bureau_balance": 27_299_925,
    "previous_application": 1_670_214,
    "POS_CASH_balance": 10_001_358,
    "installments_payments": 13_605_401,
    "credit_card_balance": 3_840_312,
}
TABLES = tuple(ROWS_AT_SCALE_1)

_PARTIAL = ".portfolio.partial"
_BYTES_AT_SCALE_1 = 2_800_000_000
_BYTES_BESIDE = 60_000_000  # parts of a few chunks that exist beside the files they are appended to
_MOST_PROCESSES = 4

Progress = Callable[[str, int, int], None]


class PortfolioError(RuntimeError):
    """A portfolio cannot be written; the message says why and what to do."""


@dataclass(frozen=True)
class PortfolioSummary:
    """What was written, and from which arguments."""

    path: Path
    scale: float
    seed: int
    scenario: str
    generator_version: str
    rows: Mapping[str, int]  # file stem -> rows
    bytes: Mapping[str, int]  # file stem -> size
    default_rate: float  # of application_train
    latent_auc: (
        float | None
    )  # of the generator's own risk against TARGET: no model can be expected to do better; None if all outcomes are alike
    seconds: float
    reused: bool = False  # the directory already held this very portfolio


def write_portfolio(
    out: Path,
    *,
    scale: float = 0.05,
    seed: int = 42,
    scenario: str = "baseline",
    processes: int | None = None,
    progress: Progress | None = None,
    force: bool = False,
) -> PortfolioSummary:
    """Write the sample portfolio's eight tables as CSV.

    The files are the same bytes for the same scale, seed and scenario, whatever the number of processes. They are written below a hidden
    directory and renamed when all are complete; portfolio.json comes last. A directory that already holds this portfolio is left as it is.

    Parameters
    ----------
    out
        Directory for the files; made if need be. Tables already there are replaced only if this generator wrote them.
    scale
        Size relative to the reference portfolio (307,511 + 48,744 applicants, 58.4 million rows, 2.7 GB); above 0, at most 5.
    seed
        Seed of all randomness, 0 or more.
    scenario
        Name of a registered scenario.
    processes
        Worker processes; None takes the machine's cores, at most 4. With 1 everything runs in this process.
    progress
        Called as (file stem, rows done, rows expected) after every chunk; at the end with the exact number twice.
    force
        Write anew even if the directory already holds this portfolio.

    Raises
    ------
    UnknownScenarioError
        No such scenario.
    PortfolioError
        An argument is out of range, the disk is too small or full, another process is writing to the directory, or it holds tables that
        did not come from here.
    """
    _check_arguments(scale, seed, processes)
    shifts = scenario_named(scenario)
    if not force and (existing := reusable(out, scale=scale, seed=seed, scenario=scenario)):
        return existing
    started, version = time.monotonic(), generator_version()
    with _reserved(out), _disk_errors(out, scale):
        _refuse_foreign_tables(out)
        _check_space(out, scale)
        partial = out / _PARTIAL
        shutil.rmtree(partial, ignore_errors=True)
        try:
            partial.mkdir()
            chunks = plan_chunks(scale, seed, shifts)
            drawn = [chunk.applicants() for chunk in chunks]
            target = np.concatenate([a.target[a.is_train] for a in drawn])
            risk = np.concatenate([a.risk[a.is_train] for a in drawn])
            placed = place(
                chunks, [int(a.bureau_rows.sum()) for a in drawn], [int(a.previous_rows.sum()) for a in drawn]
            )
            del drawn
            rows = _write_tables(placed, partial, scale, _worker_count(processes, len(chunks)), progress)
            summary = PortfolioSummary(
                path=out,
                scale=scale,
                seed=seed,
                scenario=scenario,
                generator_version=version,
                rows=rows,
                bytes={table: (partial / f"{table}.csv").stat().st_size for table in TABLES},
                default_rate=float(target.mean()),
                latent_auc=_auc(risk, target),
                seconds=round(time.monotonic() - started, 2),
            )
            _publish(partial, summary)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return summary


def reusable(out: Path, *, scale: float, seed: int, scenario: str) -> PortfolioSummary | None:
    """Return the summary of the portfolio in a directory if it is complete and these arguments would write it again; else None."""
    try:
        described = json.loads((out / DESCRIPTION).read_text(encoding="utf-8"))
        summary = PortfolioSummary(**{**described, "path": out, "reused": True})
    except (OSError, ValueError, TypeError):
        return None
    asked = (scale, seed, scenario, generator_version())
    if (summary.scale, summary.seed, summary.scenario, summary.generator_version) != asked:
        return None
    sizes = {table: _size(out / f"{table}.csv") for table in TABLES}
    return summary if sizes == summary.bytes else None


def estimated_bytes(scale: float) -> int:
    """Estimate the disk space that writing a portfolio takes."""
    return int(_BYTES_AT_SCALE_1 * scale) + _BYTES_BESIDE


def generator_version() -> str:
    """Name this generator: a hash of its source and of numpy's version, whose random streams the data follow."""
    digest = hashlib.sha256(np.__version__.encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _check_arguments(scale: float, seed: int, processes: int | None) -> None:
    if not 0 < scale <= LARGEST_SCALE:
        raise PortfolioError(
            f"scale is {scale}; give a number above 0 and at most {LARGEST_SCALE:g} (1 is the reference portfolio's size)"
        )
    if seed < 0:
        raise PortfolioError(f"seed is {seed}; give 0 or more")
    if processes is not None and processes < 1:
        raise PortfolioError(f"processes is {processes}; give 1 or more, or none for the machine's cores")


def _worker_count(processes: int | None, chunks: int) -> int:
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(processes or min(available, _MOST_PROCESSES), chunks)


@contextlib.contextmanager
def _reserved(out: Path) -> Iterator[None]:
    """Keep other writers out of the directory; the lock dies with the process."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        handle = os.open(out, os.O_RDONLY | os.O_DIRECTORY)
    except (FileExistsError, NotADirectoryError):
        raise PortfolioError(f"{out} is not a directory; choose another path for the portfolio") from None
    except PermissionError:
        raise PortfolioError(
            f"{out} cannot be written to; choose another directory or change its permissions"
        ) from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PortfolioError(
                f"another process is writing a portfolio to {out}; wait for it or choose another directory"
            ) from None
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def _disk_errors(out: Path, scale: float) -> Iterator[None]:
    """Turn a full disk into an error that says how much space is needed."""
    try:
        yield
    except (OSError, duckdb.IOException) as error:
        if getattr(error, "errno", None) != errno.ENOSPC and "No space left" not in str(error):
            raise
        raise PortfolioError(_no_space(out, scale)) from error


def _no_space(out: Path, scale: float) -> str:
    free = shutil.disk_usage(out).free
    return (
        f"the disk of {out} is full: scale {scale:g} takes about {estimated_bytes(scale) / 1e9:.2f} GB, {free / 1e9:.2f} GB are free; "
        "make room, choose another directory or a smaller scale. Nothing was published."
    )


def _check_space(out: Path, scale: float) -> None:
    if shutil.disk_usage(out).free < estimated_bytes(scale):
        raise PortfolioError(_no_space(out, scale))


def _refuse_foreign_tables(out: Path) -> None:
    """Protect tables that somebody else put here, such as the competition's own files."""
    present = [table for table in TABLES if (out / f"{table}.csv").exists()]
    if present and not (out / DESCRIPTION).exists():
        raise PortfolioError(
            f"{out} holds {present[0]}.csv but no {DESCRIPTION}, so it was not written here; choose another directory or move it away"
        )


def _write_tables(
    placed: Iterable[Placed], partial: Path, scale: float, workers: int, progress: Progress | None
) -> dict[str, int]:
    """Generate all chunks and append their parts, in order, to the tables' files; return the rows per table."""
    rows = dict.fromkeys(TABLES, 0)
    for parts in _in_order(placed, partial / "parts", workers):
        for table, part in parts.items():
            append_part(part, partial / f"{table}.csv")
            rows[table] += part.rows
            if progress:
                progress(table, rows[table], max(rows[table], round(ROWS_AT_SCALE_1[table] * scale)))
    if progress:
        for table, count in rows.items():
            progress(table, count, count)
    return rows


def _in_order(placed: Iterable[Placed], directory: Path, workers: int) -> Iterator[dict[str, Part]]:
    """Yield the chunks' parts in the chunks' order, generated by this process or by a few workers slightly ahead of it."""
    if workers == 1:
        for each in placed:
            yield _make_parts(each, directory)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_follow_parent) as pool:
        pending: deque[Future[dict[str, Part]]] = deque()
        try:
            for each in placed:
                pending.append(pool.submit(_make_parts, each, directory))
                if len(pending) > 2 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _make_parts(placed: Placed, directory: Path) -> dict[str, Part]:
    return write_parts(generate(placed), directory / f"{placed.chunk.index:05d}")


def _follow_parent() -> None:
    """Let a worker end with its parent, however that ends; the parent alone answers an interrupt."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)


def _publish(partial: Path, summary: PortfolioSummary) -> None:
    """Move the complete files into place; until the last one is there the description says so, so that a mixture never looks whole."""
    out = summary.path
    described = {key: value for key, value in asdict(summary).items() if key not in ("path", "reused")}
    _describe(out, partial, {"incomplete": "the tables are being replaced; write the portfolio again"})
    for table in TABLES:
        (out / f"{table}.csv").unlink(missing_ok=True)
    for table in TABLES:
        (partial / f"{table}.csv").rename(out / f"{table}.csv")
    _describe(out, partial, described)


def _describe(out: Path, partial: Path, content: Mapping[str, object]) -> None:
    draft = partial / DESCRIPTION
    draft.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    draft.rename(out / DESCRIPTION)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _auc(score: FloatArray, target: IntArray) -> float | None:
    """Compute the area under the ROC curve of a score without ties; None if all outcomes are the same."""
    ranks = np.empty(len(score), dtype=np.int64)
    ranks[np.argsort(score, kind="stable")] = np.arange(1, len(score) + 1)
    bad = int(target.sum())
    good = len(target) - bad
    return float((ranks[target == 1].sum() - bad * (bad + 1) / 2) / (bad * good)) if bad and good else None
