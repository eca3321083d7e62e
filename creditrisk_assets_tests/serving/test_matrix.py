"""Stored rows laid into a matrix are what the store holds, number by number."""

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from creditrisk_serving.online.build import FamilyFile, Packer
from creditrisk_serving.online.layout import Decoder, RowDamagedError
from creditrisk_serving.online.matrix import UNSEEN, MatrixReader

CODES = {"a__name": {"x": 0.0, "y": 1.0}, "a__none": {}}
# `a__left_out` is stored and not wanted; `m__missing` is wanted and not stored.
NAMES = ("h__n", "has_h", "a__real", "a__name", "a__flag", "m__missing", "a__wide", "a__none", "has_a", "a__narrow")
FLAGS = {"has_a": "a", "has_h": "h", "has_other": "other"}
KEYS = list(range(1, 400))


@pytest.fixture(scope="module")
def packer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Packer, dict[int, bytes]]:
    drawn, directory = random.Random(11), tmp_path_factory.mktemp("matrix")

    def file(name: str, columns: dict[str, pa.Array]) -> FamilyFile:
        path = directory / f"{name}.parquet"
        pq.write_table(pa.table(columns), path)
        return FamilyFile(name, "v", "d", path)

    def of(values: list[Any], kind: pa.DataType, keys: list[int] = KEYS) -> pa.Array:
        return pa.array([drawn.choice(values) for _ in keys], kind)

    some = [key for key in KEYS if key % 3]
    made = Packer(
        [
            file(
                "a",
                {
                    "sk_id_curr": pa.array(KEYS, pa.int64()),
                    "a__real": of([None, 0.1, -0.0, 1e308], pa.float64()),
                    "a__name": of([None, "x", "y", "z"], pa.string()),
                    "a__left_out": of([None, 5], pa.int64()),
                    "a__flag": of([None, True, False], pa.bool_()),
                    "a__none": of([None], pa.string()),
                    "a__wide": of([None, -(2**40), 2**40], pa.int64()),
                    "a__narrow": of([None, -3, 3], pa.int64()),
                },
            ),
            file("h", {"sk_id_curr": pa.array(some, pa.int64()), "h__n": of([None, 7, 70_000], pa.int64(), some)}),
        ]
    )
    return made, dict(made.rows())


def test_it_lays_what_the_decoder_reads(packer: tuple[Packer, dict[int, bytes]]) -> None:
    made, rows = packer
    layout = made.layout
    reader = MatrixReader(layout, NAMES, FLAGS, CODES)
    columns = {family.name: tuple(name for name, _ in family.columns) for family in layout.families}
    decoder = Decoder(layout, columns)
    unseen = 0
    for key, packed in rows.items():
        row = np.full(len(NAMES), 123.0)
        families = reader.lay(key, packed, row)
        found = decoder.decode(key, packed)
        assert families == tuple(found)
        stored = {name: value for family in found for name, value in zip(columns[family], found[family], strict=True)}
        for name, number in zip(NAMES, row.tolist(), strict=True):
            value = stored.get(name)
            if name in FLAGS:
                assert number == float(FLAGS[name] in found)
            elif value is None:
                assert np.isnan(number), name
            elif name == "a__name":
                assert number == CODES["a__name"].get(value, UNSEEN)
                unseen += number == UNSEEN
            else:
                assert number == float(value), name
    assert unseen


def test_rows_laid_together_are_those_laid_one_by_one(packer: tuple[Packer, dict[int, bytes]]) -> None:
    made, rows = packer
    reader = MatrixReader(made.layout, NAMES, FLAGS, CODES)
    one_by_one = np.empty((len(rows), len(NAMES)))
    families = [reader.lay(key, packed, row) for (key, packed), row in zip(rows.items(), one_by_one, strict=True)]
    together = np.full_like(one_by_one, 123.0)
    assert reader.lay_many(list(rows), list(rows.values()), together) == families
    assert together.tobytes() == one_by_one.tobytes()
    harmed = [bytes(packed[:-1]) if key == KEYS[-1] else packed for key, packed in rows.items()]
    with pytest.raises(RowDamagedError):
        reader.lay_many(list(rows), harmed, together)
    assert reader.lay_many([], [], together[:0]) == []


def test_a_row_that_was_changed_moved_or_cut_is_refused(packer: tuple[Packer, dict[int, bytes]]) -> None:
    made, rows = packer
    reader = MatrixReader(made.layout, NAMES, FLAGS, CODES)
    row = np.empty(len(NAMES))
    for key, packed in list(rows.items())[:20]:
        for place in range(len(packed)):
            harmed = bytearray(packed)
            harmed[place] ^= 1 << (place % 8)
            with pytest.raises(RowDamagedError):
                reader.lay(key, bytes(harmed), row)
        for cut in range(len(packed)):
            with pytest.raises(RowDamagedError):
                reader.lay(key, packed[:cut], row)
        with pytest.raises(RowDamagedError):
            reader.lay(key + 1, packed, row)


def test_categories_the_model_does_not_know_are_no_column_of_it(packer: tuple[Packer, dict[int, bytes]]) -> None:
    made, rows = packer
    with pytest.raises(KeyError):
        MatrixReader(made.layout, ("a__name",), {}, {})
    row = np.empty(1)
    MatrixReader(made.layout, ("a__real",), {}, {}).lay(1, rows[1], row)
