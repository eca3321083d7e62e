"""LightGBM's shared library, called directly: scoring without the `lightgbm` Python package.

What belongs here: finding the library, the few C functions that scoring and averaging need, the life of their handles.
What does not: features, encodings, signatures (`bundle`). Importing `lightgbm` would pull pandas and scikit-learn into
the service: seconds and 160 MiB.
"""

import ctypes
import importlib.util
import os
import re
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FLOAT32, FLOAT64 = 0, 1  # C_API_DTYPE_…
RAW_SCORE = 1  # C_API_PREDICT_RAW_SCORE: the margin; the calibrator makes the PD of it
ROW_MAJOR = 1
ALL_TREES = -1
SPLITS = 0  # C_API_FEATURE_IMPORTANCE_SPLIT
# Threads that wait spin: with two on a busy machine one row takes a hundred times as long. The service scales by
# processes.
ONE_THREAD = b"num_threads=1"


class BoosterError(RuntimeError):
    """LightGBM's library is missing or refused a call; the message repeats its words."""


@cache
def library_path() -> Path:
    """Find LightGBM's shared library without importing its Python package.

    Raises
    ------
    BoosterError
        The wheel is not installed or does not hold the library.
    """
    spec = importlib.util.find_spec("lightgbm")
    for home in (spec.submodule_search_locations or []) if spec else []:
        for name in ("lib/lib_lightgbm.so", "lib/lib_lightgbm.dylib", "lib_lightgbm.so", "bin/lib_lightgbm.dll"):
            if (path := Path(home) / name).is_file():
                return path
    raise BoosterError(
        "LightGBM's shared library was not found; install the package `lightgbm` (only its library is loaded)"
    )


def wait_passively() -> None:
    """Make OpenMP's threads sleep, not spin, where they wait for one another; call it before the library is first loaded.

    On two busy cores a fit by two spinning threads took 79 s, by two sleeping ones 8 s. A value set by the user stays.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@cache
def _library() -> Any:
    wait_passively()
    try:
        library = ctypes.CDLL(str(library_path()))
    except OSError as error:
        raise BoosterError(f"LightGBM's library {library_path()} cannot be loaded: {error}") from error
    library.LGBM_GetLastError.restype = ctypes.c_char_p
    return library


@cache
def _library_at_once() -> Any:
    """Load the same library without letting go of Python's lock: for calls of microseconds, after which others would hold it."""
    return ctypes.PyDLL(str(library_path()))


def _call(name: str, *arguments: Any) -> None:
    _check(name, getattr(_library(), name)(*arguments))


def _check(name: str, status: int) -> None:
    if status != 0:
        raise BoosterError(f"{name}: {_library().LGBM_GetLastError().decode('utf-8', 'replace')}")


def _free(handle: ctypes.c_void_p, idle: "Mapping[int, deque[ctypes.c_void_p]]") -> None:
    """Give back what the library holds for one model (the call comes when no scorer refers to it any more)."""
    library = _library()
    for prepared in idle.values():
        while prepared:
            library.LGBM_FastConfigFree(prepared.pop())
    library.LGBM_BoosterFree(handle)


def leaf_counts(text: str) -> list[int]:
    r"""Count the leaves of each tree in a model file.

    Examples
    --------
    >>> leaf_counts("tree\nTree=0\nnum_leaves=3\nTree=1\nnum_leaves=16\nend of trees")
    [3, 16]
    """
    return [int(count) for count in re.findall(r"^num_leaves=(\d+)$", text, re.MULTILINE)]


class Booster:
    """A LightGBM model read from its text.

    Safe to use from several threads at once: a matrix is scored under the library's shared lock, and each single row
    takes a prepared call of its own from a pool that grows to the number of threads ever at work together.

    Parameters
    ----------
    text
        The model file's content.

    Raises
    ------
    BoosterError
        The text is no LightGBM model.
    """

    def __init__(self, text: str) -> None:
        if not text.startswith("tree\n") or "end of trees" not in text:
            # The library itself may end the process on a text that is cut short.
            raise BoosterError("the text is not a whole LightGBM model")
        self._handle = ctypes.c_void_p()
        iterations = ctypes.c_int()
        _call("LGBM_BoosterLoadModelFromString", text.encode(), ctypes.byref(iterations), ctypes.byref(self._handle))
        self._idle: Mapping[int, deque[ctypes.c_void_p]] = {FLOAT32: deque(), FLOAT64: deque()}
        self._close = weakref.finalize(self, _free, self._handle, self._idle)
        self.iterations = iterations.value
        count = ctypes.c_int()
        _call("LGBM_BoosterGetNumFeature", self._handle, ctypes.byref(count))
        self.feature_count = count.value

    @classmethod
    def average(cls, texts: Sequence[str]) -> str:
        """Put models together as one text, whose margin is the mean of theirs.

        Parameters
        ----------
        texts
            Model files on the same features. Their trees follow one another in this order, each leaf divided by the
            number of models; what the file says of parameters is the last one's.

        Raises
        ------
        BoosterError
            There is none, or one is no LightGBM model.
        """
        if not texts:
            raise BoosterError("there is no model to average")
        models = [cls(text) for text in texts]
        for model, text in zip(models, texts, strict=True):
            model._shrink(leaf_counts(text), len(models))
        *before, whole = models
        # The library puts the trees of the model it is given before those that are there.
        for model in reversed(before):
            _call("LGBM_BoosterMerge", whole._handle, model._handle)
        return whole._text()

    def _shrink(self, leaves: Sequence[int], by: int) -> None:
        value = ctypes.c_double()
        for tree, count in enumerate(leaves):
            for leaf in range(count):
                place = (self._handle, ctypes.c_int(tree), ctypes.c_int(leaf))
                _call("LGBM_BoosterGetLeafValue", *place, ctypes.byref(value))
                _call("LGBM_BoosterSetLeafValue", *place, ctypes.c_double(value.value / by))

    def _text(self) -> str:
        length, whole = ctypes.c_int64(), (ctypes.c_int(0), ctypes.c_int(ALL_TREES), ctypes.c_int(SPLITS))
        name = "LGBM_BoosterSaveModelToString"
        _call(name, self._handle, *whole, ctypes.c_int64(0), ctypes.byref(length), None)
        buffer = ctypes.create_string_buffer(length.value)
        _call(name, self._handle, *whole, length, ctypes.byref(length), buffer)
        return buffer.value.decode()

    def margins(self, matrix: NDArray[np.float64] | NDArray[np.float32]) -> NDArray[np.float64]:
        """Compute margins: log-odds before calibration.

        Parameters
        ----------
        matrix
            (n, features), NaN where a value is missing; the same numbers give the same bits in either type.

        Returns
        -------
        ndarray
            (n,) log-odds, in the order given.

        Raises
        ------
        ValueError
            The matrix has another number of columns than the model.
        """
        kind = FLOAT32 if matrix.dtype == np.float32 else FLOAT64
        rows = np.ascontiguousarray(matrix, dtype=np.float32 if kind == FLOAT32 else np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.feature_count:
            raise ValueError(f"the model takes {self.feature_count} columns; the matrix has shape {rows.shape}")
        return self._predict(ctypes.c_void_p(rows.ctypes.data), kind, len(rows))

    def _predict(self, numbers: Any, kind: int, count: int) -> NDArray[np.float64]:
        scores = np.empty(count, dtype=np.float64)
        if count == 1:
            self._predict_one(numbers, kind, scores)
        elif count:
            self._predict_many(numbers, kind, scores)
        return scores

    def _predict_many(self, numbers: Any, kind: int, scores: NDArray[np.float64]) -> None:
        written = ctypes.c_int64()
        _call(
            "LGBM_BoosterPredictForMat",
            self._handle,
            numbers,
            ctypes.c_int(kind),
            ctypes.c_int32(len(scores)),
            ctypes.c_int32(self.feature_count),
            ctypes.c_int(ROW_MAJOR),
            ctypes.c_int(RAW_SCORE),
            ctypes.c_int(0),
            ctypes.c_int(ALL_TREES),
            ONE_THREAD,
            ctypes.byref(written),
            scores.ctypes.data_as(ctypes.c_void_p),
        )
        if written.value != len(scores):
            raise BoosterError(f"LightGBM answered {written.value} scores for {len(scores)} rows")

    def _predict_one(self, numbers: Any, kind: int, score: NDArray[np.float64]) -> None:
        written = ctypes.c_int64()
        prepared = self._take(kind)
        try:
            status = _library_at_once().LGBM_BoosterPredictForMatSingleRowFast(
                prepared, numbers, ctypes.byref(written), ctypes.c_void_p(score.ctypes.data)
            )
            _check("LGBM_BoosterPredictForMatSingleRowFast", status)
        finally:
            self._idle[kind].append(prepared)
        if written.value != 1:
            raise BoosterError(f"LightGBM answered {written.value} scores for one row")

    def _take(self, kind: int) -> ctypes.c_void_p:
        """Take an idle prepared call, or make one: a prepared call serves one thread at a time."""
        try:
            return self._idle[kind].pop()
        except IndexError:
            prepared = ctypes.c_void_p()
        _call(
            "LGBM_BoosterPredictForMatSingleRowFastInit",
            self._handle,
            ctypes.c_int(RAW_SCORE),
            ctypes.c_int(0),
            ctypes.c_int(ALL_TREES),
            ctypes.c_int(kind),
            ctypes.c_int32(self.feature_count),
            ONE_THREAD,
            ctypes.byref(prepared),
        )
        return prepared
