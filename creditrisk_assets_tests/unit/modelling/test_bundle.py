"""The bundle: scores to the bit, refuses everything that is not as signed."""

import hashlib
import io
import json
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from creditrisk_assets.lake import sha256_file
from creditrisk_assets.modelling.booster import Booster, BoosterError
from creditrisk_assets.modelling.bundle import (
    EXPLANATION_FILES,
    FILES,
    FLOAT32_LIMIT,
    FORMAT,
    GOLDEN_CONTRIBUTIONS,
    MANIFEST,
    REASONS,
    SIGNATURE,
    TABLE,
    Bundle,
    BundleError,
    EncodingError,
    follow,
    to_float32,
)
from creditrisk_assets.modelling.bundle_writer import UNSEEN, BundleContent, publish_bundle, write_bundle
from creditrisk_assets.modelling.calibration import uncalibrated
from creditrisk_assets.modelling.explanation.principal import ReasonBook
from creditrisk_assets.modelling.explanation.reference_set import ReferenceSet
from creditrisk_assets.modelling.signing import public_bytes
from creditrisk_assets.modelling.tables import Part
from creditrisk_assets.modelling.training import Training
from creditrisk_assets_tests.unit.modelling.conftest import Written


def columns(part: Part, bundle: Bundle, rows: slice = slice(None)) -> dict[str, list[object]]:
    return {
        name: [None if value != value else value for value in part.frame[name].astype(object).iloc[rows]]
        for name in bundle.feature_names
    }


def resign(written: Written, name: str, text: str | bytes, **manifest_fields: object) -> None:
    """Change a file as its maker could: hash and signature follow."""
    (written.path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    manifest = json.loads((written.path / MANIFEST).read_text())
    manifest["files"][name] = sha256_file(written.path / name)
    raw = json.dumps(manifest | manifest_fields).encode()
    (written.path / MANIFEST).write_bytes(raw)
    signature = json.loads((written.path / SIGNATURE).read_text())
    import base64

    signature["signature"] = base64.b64encode(written.key.sign(raw)).decode()
    (written.path / SIGNATURE).write_text(json.dumps(signature))


def test_scores_equal_those_of_the_training_library_to_the_bit(
    written: Written, training: Training, part: Part
) -> None:
    expected = training.model.predict(part.frame)
    matrix = written.bundle.encode(columns(part, written.bundle))
    assert np.array_equal(written.bundle.score(matrix), expected)
    one_by_one = [written.bundle.score(matrix[row : row + 1])[0] for row in range(100)]
    assert np.array_equal(one_by_one, expected[:100])


def test_one_row_and_many_rows_are_encoded_alike(written: Written, part: Part) -> None:
    many = written.bundle.encode(columns(part, written.bundle, slice(0, 200)))
    few = [written.bundle.encode(columns(part, written.bundle, slice(row, row + 1)))[0] for row in range(200)]
    some = written.bundle.encode(columns(part, written.bundle, slice(0, 7)))
    assert np.array_equal(many, np.array(few), equal_nan=True)
    assert np.array_equal(many[:7], some, equal_nan=True)


def test_float32_numbers_score_to_the_same_bit_one_by_one_and_together(written: Written, part: Part) -> None:
    bundle = written.bundle
    given = columns(part, bundle, slice(0, 200))
    given["application__income_amt"][:4] = [30000, 1e300, -1e300, 3.4028235e38]
    matrix = bundle.encode(given)
    numbers = to_float32(matrix)
    assert np.array_equal(numbers, matrix, equal_nan=True)
    assert np.array_equal(bundle.score_float32(numbers), bundle.score(matrix))
    assert np.array_equal([bundle.score_float32(row[np.newaxis])[0] for row in numbers], bundle.score(matrix))
    assert bundle.score_float32(numbers[:0]).shape == (0,)


def test_what_is_past_float32_is_its_largest_number() -> None:
    far = to_float32(np.array([[1e300, -1e300, np.inf, np.nan]]))
    assert far[0, :3].tolist() == [FLOAT32_LIMIT, -FLOAT32_LIMIT, FLOAT32_LIMIT]
    assert np.isnan(far[0, 3])


def test_numbers_of_another_width_are_refused(written: Written) -> None:
    with pytest.raises(ValueError, match="the model takes"):
        written.bundle.score_float32(np.zeros((1, 1), dtype=np.float32))


def test_an_empty_batch_is_scored_to_nothing(written: Written) -> None:
    matrix = written.bundle.encode({name: [] for name in written.bundle.feature_names})
    assert written.bundle.score(matrix).shape == (0,)


def test_an_unseen_category_and_null_are_missing_values(written: Written) -> None:
    row = {name: [None, None] for name in written.bundle.feature_names}
    row["application__kind_category"] = [UNSEEN, None]
    assert np.isnan(written.bundle.encode(row)).all()


def test_whole_numbers_and_booleans_count_as_numbers(written: Written) -> None:
    row: dict[str, list[object]] = {name: [None] for name in written.bundle.feature_names}
    as_floats = {**row, "application__income_amt": [30000.0], "application__is_owner": [1.0]}
    as_given = {**row, "application__income_amt": [30000], "application__is_owner": [True]}
    assert np.array_equal(written.bundle.encode(as_floats), written.bundle.encode(as_given), equal_nan=True)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("application__income_amt", "a lot", "application__income_amt takes numbers"),
        ("application__income_amt", float("inf"), "application__income_amt is infinite"),
        ("application__kind_category", 3, "application__kind_category is a category and takes text"),
    ],
)
@pytest.mark.parametrize("rows", [1, 3, 100])
def test_a_value_of_the_wrong_kind_is_refused_by_name_and_never_repeated(
    written: Written, name: str, value: object, words: str, rows: int
) -> None:
    row: dict[str, list[object]] = {each: [None] * rows for each in written.bundle.feature_names}
    row[name] = [value, *[None] * (rows - 1)]
    with pytest.raises(EncodingError, match=words) as raised:
        written.bundle.encode(row)
    assert "a lot" not in str(raised.value)


def test_a_missing_feature_is_refused_by_name(written: Written) -> None:
    row = {name: [1.0] for name in written.bundle.feature_names if name != "application__score"}
    with pytest.raises(EncodingError, match="application__score"):
        written.bundle.encode(row)


def test_columns_of_different_lengths_are_refused(written: Written) -> None:
    row = {name: [None] for name in written.bundle.feature_names}
    row["application__is_owner"] = [None, None]
    with pytest.raises(EncodingError, match="application__is_owner has 2 rows"):
        written.bundle.encode(row)


def test_eight_threads_get_the_scores_of_one(written: Written, part: Part) -> None:
    matrix = written.bundle.encode(columns(part, written.bundle))
    expected = written.bundle.score(matrix)
    wrong: list[int] = []

    def work(start: int) -> None:
        for row in range(start, 1000, 8):
            if written.bundle.score(matrix[row : row + 1])[0] != expected[row]:
                wrong.append(row)
            if not np.array_equal(written.bundle.score(matrix[row : row + 80]), expected[row : row + 80]):
                wrong.append(row)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_equal_content_has_one_version_whenever_it_is_written(written: Written, tmp_path: Path) -> None:
    again = write_bundle(tmp_path / "again", written.content, Ed25519PrivateKey.generate())
    assert again.version == written.bundle.version


@pytest.mark.parametrize("name", [*FILES, *EXPLANATION_FILES])
def test_one_changed_byte_in_any_file_is_refused(written: Written, name: str) -> None:
    path = written.path / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(BundleError, match=f"{name} was changed"):
        Bundle.load(written.path, written.public)


@pytest.mark.parametrize("name", [*FILES, *EXPLANATION_FILES, MANIFEST, SIGNATURE])
def test_a_missing_file_is_refused_by_name(written: Written, name: str) -> None:
    (written.path / name).unlink()
    with pytest.raises(BundleError, match=name):
        Bundle.load(written.path, written.public)


@pytest.mark.parametrize("older", [1, 2])
def test_a_bundle_of_an_older_format_is_refused_with_what_to_do(written: Written, older: int) -> None:
    resign(written, "calibrator.json", (written.path / "calibrator.json").read_text(), format=older)
    with pytest.raises(
        BundleError, match=rf"format {older} is not the one this release reads \({FORMAT}\); train a version"
    ):
        Bundle.load(written.path, written.public)


def test_pds_are_the_calibrator_of_margins(written: Written, training: Training, part: Part) -> None:
    matrix = written.bundle.encode(columns(part, written.bundle))
    margins = written.bundle.booster.margins(matrix)
    assert np.array_equal(margins, training.model.margins(part.frame))
    assert written.bundle.score(matrix).tolist() == [written.content.calibrator.pd(m) for m in margins.tolist()]
    assert written.bundle.calibrator == written.content.calibrator != uncalibrated()


def test_another_calibrator_signed_by_the_maker_is_found_out_by_the_golden_rows(written: Written) -> None:
    resign(written, "calibrator.json", uncalibrated().to_json())
    with pytest.raises(BundleError, match="golden row"):
        Bundle.load(written.path, written.public)


def test_a_changed_manifest_is_refused(written: Written) -> None:
    path = written.path / MANIFEST
    path.write_text(path.read_text().replace('"code"', '"other"'))
    with pytest.raises(BundleError, match="signature"):
        Bundle.load(written.path, written.public)


def test_another_signer_is_refused_though_the_bundle_carries_its_key(written: Written) -> None:
    with pytest.raises(BundleError, match="not by a key that is trusted today"):
        Bundle.load(written.path, public_bytes(Ed25519PrivateKey.generate()))


def test_a_pickle_laid_beside_the_files_is_refused(written: Written) -> None:
    (written.path / "model.pkl").write_bytes(b"")
    with pytest.raises(BundleError, match=r"model\.pkl does not belong"):
        Bundle.load(written.path, written.public)


def test_a_signed_model_that_scores_otherwise_is_refused(written: Written) -> None:
    golden = json.loads((written.path / "golden.json").read_text())
    golden["rows"][3]["pd"] += 1e-9
    resign(written, "golden.json", json.dumps(golden))
    with pytest.raises(BundleError, match="golden row 3"):
        Bundle.load(written.path, written.public)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("golden.json", '{"rows": []}'),
        ("policy.json", "{}"),
        ("calibrator.json", "{}"),
        ("model.txt", "tree\n"),
        ("plan.json", "["),
        ("reference.json", "{}"),
        ("reference.json", '{"applicants": 1, "inputs": {}, "scores": null}'),
    ],
)
def test_a_signed_file_without_its_content_is_refused(written: Written, name: str, text: str) -> None:
    resign(written, name, text)
    with pytest.raises(BundleError, match=str(written.path)):
        Bundle.load(written.path, written.public)


def test_the_reference_comes_back_as_it_was_counted(written: Written) -> None:
    assert written.bundle.reference == written.content.reference
    assert written.bundle.reference.inputs.keys() == set(written.bundle.feature_names)


def test_the_manifest_names_the_sql_and_contracts_the_model_was_made_with(
    content: BundleContent, tmp_path: Path
) -> None:
    def manifest(number: int, plan: dict[str, object]) -> dict[str, object]:
        content_now = replace(content, plan=plan)
        return dict(write_bundle(tmp_path / str(number), content_now, Ed25519PrivateKey.generate()).manifest)

    column, other = {"name": "AMT_CREDIT", "type": "float"}, {"name": "AMT_CREDIT", "type": "int"}
    one = manifest(0, {"families": {"bureau": {"sql": "select 1"}}, "tables": {"bureau": {"columns": [column]}}})
    two = manifest(1, {"families": {"bureau": {"sql": "select 2"}}, "tables": {"bureau": {"columns": [column]}}})
    three = manifest(2, {"families": {"bureau": {"sql": "select 1"}}, "tables": {"bureau": {"columns": [other]}}})
    assert one["sql"] == {"bureau": hashlib.sha256(b"select 1").hexdigest()}
    assert one["sql"] != two["sql"]
    assert one["contracts"] == two["contracts"] != three["contracts"]


def test_golden_rows_hold_the_edges_and_no_applicant(written: Written, part: Part) -> None:
    rows = [row["features"] for row in written.content.golden]
    assert any(all(value is None for value in row.values()) for row in rows)
    assert any(UNSEEN in row.values() for row in rows)
    assert any(isinstance(row["application__income_amt"], int) for row in rows)
    real = {tuple(row) for row in part.frame[["application__score", "application__income_amt"]].to_numpy().tolist()}
    assert not any((row["application__score"], row["application__income_amt"]) in real for row in rows)


def test_a_bundle_is_not_written_over_another(written: Written) -> None:
    with pytest.raises(BundleError, match="not empty"):
        write_bundle(written.path, written.content, written.key)


def test_publishing_swaps_the_pointer(written: Written, tmp_path: Path) -> None:
    bundles = tmp_path / "bundles"
    assert follow(bundles) is None
    target = publish_bundle(written.path, bundles, written.public)
    assert follow(bundles) == target
    assert Bundle.load(target, written.public).version == written.bundle.version
    assert publish_bundle(written.path, bundles, written.public) == target


def test_publishing_again_mends_a_damaged_version(written: Written, tmp_path: Path) -> None:
    target = publish_bundle(written.path, tmp_path / "bundles", written.public)
    (target / "model.txt").write_text("tree\n")
    publish_bundle(written.path, tmp_path / "bundles", written.public)
    assert Bundle.load(target, written.public).version == written.bundle.version


def test_a_bundle_that_does_not_verify_is_not_published(written: Written, tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        publish_bundle(written.path, tmp_path / "bundles", public_bytes(Ed25519PrivateKey.generate()))
    assert follow(tmp_path / "bundles") is None


@pytest.mark.parametrize("text", ["", "{}", '{"version": "../../etc"}', '{"version": 3}'])
def test_a_damaged_pointer_is_an_error_and_not_an_empty_registry(tmp_path: Path, text: str) -> None:
    (tmp_path / "CURRENT").write_text(text)
    with pytest.raises(BundleError, match="CURRENT"):
        follow(tmp_path)


def test_the_manifest_says_what_the_model_was_made_from(written: Written) -> None:
    assert written.bundle.manifest["inputs"] == {"training/split_train": "abc"}
    assert written.bundle.manifest["created_at"] == datetime(2026, 5, 3, tzinfo=UTC).isoformat()
    assert written.bundle.manifest["feature_count"] == len(written.bundle.features)


@pytest.mark.parametrize("text", ["", "not a model", "tree\nversion=v4\nend of trees"])
def test_a_text_that_is_no_model_is_refused(text: str) -> None:
    with pytest.raises(BoosterError):
        Booster(text)


def test_a_matrix_of_another_width_is_refused(written: Written) -> None:
    with pytest.raises(ValueError, match="columns"):
        written.bundle.score(np.zeros((1, 99)))


def array(values: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, values)
    return out.getvalue()


def test_a_loaded_bundle_explains_as_the_compiled_explainer_does(written: Written, part: Part) -> None:
    loaded, compiled = written.bundle.explainer, written.content.explainer
    assert loaded is not None
    assert compiled is not None
    matrix = written.bundle.encode(columns(part, written.bundle, slice(0, 50)))
    found = loaded.all_contributions(matrix)
    assert np.array_equal(found, compiled.all_contributions(matrix))
    for contributions, margin in zip(found, written.bundle.booster.margins(matrix), strict=True):
        loaded.check(contributions, margin)
    assert written.bundle.reference_applicants == written.content.reference_applicants
    assert not loaded.table.flags.writeable  # a map of the file, shared between processes


def test_a_bundle_carries_no_reference_applicant(written: Written, compared: ReferenceSet) -> None:
    rows = [row.tobytes() for row in compared.rows]
    for path in written.path.iterdir():
        content = path.read_bytes()
        assert not any(row in content for row in rows), path.name


def test_a_bundle_may_be_without_an_explainer(content: BundleContent, tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    without = replace(content, explainer=None, reference_applicants=None, reasons=None)
    bundle = write_bundle(tmp_path / "bundle", without, key)
    assert bundle.explainer is None
    assert bundle.reference_applicants is None
    again = Written(tmp_path / "bundle", key, without, bundle)
    resign(again, "metrics.json", "{}", format=3)  # as releases before wrote it
    older = Bundle.load(again.path, again.public)
    assert older.explainer is None
    assert Bundle.load(publish_bundle(again.path, tmp_path / "bundles", again.public), again.public).explainer is None


def test_a_bundle_of_the_release_before_has_no_reasons_and_scores(written: Written) -> None:
    files = json.loads((written.path / MANIFEST).read_text())["files"]
    (written.path / REASONS).unlink()
    same = (written.path / "metrics.json").read_text()
    resign(written, "metrics.json", same, files={name: files[name] for name in files if name != REASONS}, format=4)
    older = Bundle.load(written.path, written.public)
    assert older.explainer is not None
    assert older.reasons is None


def test_a_bundle_carries_its_reasons_as_they_were_made(written: Written, reasons: ReasonBook) -> None:
    assert written.bundle.reasons == reasons


def test_an_explainer_without_reasons_is_not_written(content: BundleContent, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="belong together"):
        write_bundle(tmp_path / "bundle", replace(content, reasons=None), Ed25519PrivateKey.generate())


def test_a_bundle_whose_input_has_no_reason_is_refused(written: Written, reasons: ReasonBook) -> None:
    first, *others = reasons.tellings
    groups = {one.group for one in others}
    fewer = replace(reasons, tellings=tuple(others), codes={g: c for g, c in reasons.codes.items() if g in groups})
    resign(written, REASONS, fewer.to_json())
    with pytest.raises(BundleError, match=f"1 inputs of the model have no reason, among them {first.feature}"):
        Bundle.load(written.path, written.public)


def test_half_an_explanation_is_refused(written: Written) -> None:
    manifest = json.loads((written.path / MANIFEST).read_text())
    files = {name: digest for name, digest in manifest["files"].items() if name != TABLE}
    resign(written, "metrics.json", "{}", files=files)
    with pytest.raises(BundleError, match="all or none of"):
        Bundle.load(written.path, written.public)


def test_another_table_signed_by_the_maker_is_found_out(written: Written) -> None:
    assert written.bundle.explainer is not None
    resign(written, TABLE, array(written.bundle.explainer.table * np.float32(1.01)))
    with pytest.raises(BundleError, match=r"golden rows cannot be explained \(contributions add up to"):
        Bundle.load(written.path, written.public)


def test_contributions_of_other_features_signed_by_the_maker_are_found_out(written: Written) -> None:
    golden = np.load(written.path / GOLDEN_CONTRIBUTIONS)
    resign(written, GOLDEN_CONTRIBUTIONS, array(golden[:, ::-1]))
    with pytest.raises(BundleError, match=r"golden row \d+ gets other contributions"):
        Bundle.load(written.path, written.public)


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        (TABLE, b""),
        (TABLE, array(np.zeros(9))),
        (TABLE, array(np.zeros(1, np.float32))),
        (GOLDEN_CONTRIBUTIONS, b""),
        (GOLDEN_CONTRIBUTIONS, array(np.zeros((2, 2)))),
        ("explanation.npz", b""),
        ("explanation.json", b"["),
        (REASONS, b"["),
        (REASONS, b'{"codes": {}, "features": [{}], "words": {}}'),
    ],
)
def test_a_signed_file_of_the_explanation_without_its_content_is_refused(
    written: Written, name: str, raw: bytes
) -> None:
    resign(written, name, raw)
    with pytest.raises(BundleError, match=str(written.path)):
        Bundle.load(written.path, written.public)
