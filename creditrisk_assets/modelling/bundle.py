"""The signed model bundle, read: everything the scoring service knows of a model.

What belongs here: verification (signature, hashes, golden rows), encoding of features into the model's matrix, scoring,
the pointer to the published version. What does not: how a bundle is made (`bundle_writer`), signing (`signing`),
features (`features.request`). The service imports this module, so it needs numpy, cryptography and LightGBM's shared
library alone, and never unpickles anything.

    manifest.json    format, name, created_at, model_version, files (name -> SHA-256), inputs, code_version, …
    signature.json   Ed25519 over the bytes of manifest.json
    model.txt        LightGBM's text         encoder.json   the model's features in order: categories, constraints
    plan.json        feature SQL and tables  policy.json    grades, cut-offs, gates
    calibrator.json  the map from margins to PDs      metrics.json   how the training went
    golden.json      rows with the PDs they must get      reference.json     distributions of the training applicants

and where its scores can be explained

    explanation.json         who the reference applicants are     explanation.npz     the compiled explainer but its table
    contributions.npy        its table, mapped into memory        golden_contributions.npy     what golden rows must get
    reasons.json             how an applicant is told of each input
"""

import base64
import binascii
import hashlib
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from cryptography.exceptions import InvalidSignature
from numpy.typing import NDArray

from creditrisk_assets.modelling import trust
from creditrisk_assets.modelling.booster import Booster, BoosterError
from creditrisk_assets.modelling.calibration import CalibrationError, Calibrator
from creditrisk_assets.modelling.explanation.explainer import Explainer, ExplanationError
from creditrisk_assets.modelling.explanation.principal import BookError, ReasonBook
from creditrisk_assets.modelling.policy import Policy, PolicyError, Sign, parse_policy
from creditrisk_assets.modelling.reference import Reference

FORMAT = 5  # 1 had no calibrator: its PDs were the margins' sigmoid; 2 had no reference distributions
READ_FORMATS = (3, 4, FORMAT)  # 3 had no explanation, 4 no reasons in words
MANIFEST = "manifest.json"
SIGNATURE = "signature.json"
FILES = (
    "calibrator.json",
    "encoder.json",
    "golden.json",
    "metrics.json",
    "model.txt",
    "plan.json",
    "policy.json",
    "reference.json",
)
EXPLANATION, LAYOUT, TABLE = "explanation.json", "explanation.npz", "contributions.npy"
GOLDEN_CONTRIBUTIONS, REASONS = "golden_contributions.npy", "reasons.json"
EXPLANATION_FILES = (EXPLANATION, LAYOUT, TABLE, GOLDEN_CONTRIBUTIONS, REASONS)
POINTER, SHADOW_POINTER = "CURRENT", "SHADOW"
PUBLIC_KEY_FILE = "bundle_signing.pub"
GOLDEN_TOLERANCE = 1e-12
GOLDEN_CONTRIBUTION_TOLERANCE = 1e-9  # of a margin
FEW_ROWS = 64  # below this, row by row through Python beats column by column through numpy
FLOAT32_LIMIT = float(np.finfo(np.float32).max)

Kind = Literal["numeric", "boolean", "category"]


class BundleError(RuntimeError):
    """A bundle is missing, damaged, unsigned or scores unlike when it was made; it must decide on nobody."""


class EncodingError(ValueError):
    """Features do not fit the model; the message names the feature, never its value."""


@dataclass(frozen=True)
class BundleFeature:
    """One input of the model: its place in the matrix is its place in the bundle."""

    name: str
    family: str
    kind: Kind
    categories: tuple[str, ...] | None = None
    monotone: Sign = 0  # which way the PD may move with it
    codes: Mapping[str, float] = field(init=False, repr=False, compare=False)  # category -> its number in the matrix

    def __post_init__(self) -> None:
        object.__setattr__(self, "codes", {name: float(code) for code, name in enumerate(self.categories or ())})


@dataclass(frozen=True)
class Encoder:
    """Turns features into a model's matrix. Safe to share between threads."""

    features: tuple[BundleFeature, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The inputs, in the order of the matrix."""
        return tuple(feature.name for feature in self.features)

    def encode(self, columns: Mapping[str, Sequence[Any] | NDArray[Any]]) -> NDArray[np.float64]:
        """Turn features into the model's matrix.

        Parameters
        ----------
        columns
            Feature name -> one value per applicant: numbers, booleans, category names, None or NaN where unknown.
            Others are ignored.

        Returns
        -------
        ndarray
            (n, features) float64 holding float32 numbers, as in training. A category the training never saw is NaN,
            like NULL.

        Raises
        ------
        EncodingError
            A feature is missing, its column has another length, or a value is of the wrong type or infinite.
        """
        try:
            values = [columns[name] for name in self.names]
        except KeyError:
            missing = [name for name in self.names if name not in columns]
            raise EncodingError(
                f"{len(missing)} features of the model are missing, among them {', '.join(missing[:5])}"
            ) from None
        rows = len(values[0])
        for name, column in zip(self.names, values, strict=True):
            if len(column) != rows:
                raise EncodingError(f"feature {name} has {len(column)} rows; {self.names[0]} has {rows}")
        matrix = self._encode_few(values, rows) if rows < FEW_ROWS else self._encode_many(values, rows)
        return round_to_float32(matrix, self.names)

    def _encode_few(self, values: list[Any], rows: int) -> NDArray[np.float64]:
        for place, feature in self._categories:
            values[place] = _coded(feature, values[place])
        try:
            # One row is most of the service's work, and a flat list converts ten times as fast as a nested one.
            flat = [column[0] for column in values] if rows == 1 else values
            return np.array(flat, dtype=np.float64).reshape(len(values), rows).T
        except (ValueError, TypeError):
            for feature, column in zip(self.features, values, strict=True):
                _numbers(feature, column)  # names the culprit
            raise

    def _encode_many(self, values: list[Any], rows: int) -> NDArray[np.float64]:
        matrix = np.empty((rows, len(values)), dtype=np.float64)
        for place, feature in self._categories:
            values[place] = _coded(feature, values[place])
        for place, feature in enumerate(self.features):
            matrix[:, place] = _numbers(feature, values[place])
        return matrix

    @cached_property
    def _categories(self) -> tuple[tuple[int, BundleFeature], ...]:
        return tuple((place, f) for place, f in enumerate(self.features) if f.kind == "category")


@dataclass(frozen=True)
class Bundle:
    """One verified model version, ready to score. Safe to share between threads."""

    version: str
    manifest: Mapping[str, Any]
    plan: Mapping[str, Any]
    policy: Policy
    features: tuple[BundleFeature, ...]
    metrics: Mapping[str, Any]
    calibrator: Calibrator
    reference: Reference = field(repr=False)
    booster: Booster = field(repr=False, compare=False)
    explainer: Explainer | None = field(default=None, repr=False, compare=False)  # None: made without
    reference_applicants: Mapping[str, Any] | None = None  # with whom contributions compare
    reasons: ReasonBook | None = field(default=None, repr=False, compare=False)  # None: made without

    @classmethod
    def load(cls, path: Path, public_key: bytes) -> "Bundle":
        """Read a bundle and verify all of it.

        Parameters
        ----------
        path
            The bundle's directory.
        public_key
            The trusted Ed25519 key, 32 raw bytes; the one inside the bundle proves nothing by itself.

        Raises
        ------
        BundleError
            A file is missing, changed or unexpected, the signature is not by this key, the format is unknown, or a
            golden row gets another score than at registration.
        """
        manifest = _verified_manifest(path, public_key)
        files = dict(manifest["files"])
        table = _verified_table(path, files.pop(TABLE)) if TABLE in files else None
        contents = {name: _verified_file(path, name, digest) for name, digest in files.items()}
        if strangers := sorted(
            p.name for p in path.iterdir() if p.name not in {*manifest["files"], MANIFEST, SIGNATURE}
        ):
            raise BundleError(f"{path}: {', '.join(strangers)} does not belong to a bundle; publish the version again")
        try:
            bundle = cls(
                version=manifest["model_version"],
                manifest=manifest,
                plan=json.loads(contents["plan.json"]),
                policy=parse_policy(json.loads(contents["policy.json"]), where=f"{path}/policy.json"),
                features=parse_features(json.loads(contents["encoder.json"])),
                metrics=json.loads(contents["metrics.json"]),
                calibrator=Calibrator.from_json(contents["calibrator.json"].decode()),
                reference=Reference.from_dict(json.loads(contents["reference.json"])),
                booster=Booster(contents["model.txt"].decode()),
                explainer=None if table is None else Explainer.read(contents[LAYOUT], table),
                reference_applicants=None if table is None else json.loads(contents[EXPLANATION]),
                reasons=ReasonBook.from_json(contents[REASONS].decode()) if REASONS in contents else None,
            )
            golden = json.loads(contents["golden.json"])["rows"]
        except (ValueError, KeyError, TypeError, BoosterError, PolicyError) as error:
            raise BundleError(f"{path}: a signed file does not hold what it should ({error})") from error
        bundle._check_shape(path)
        bundle._check_golden(path, golden)
        if bundle.explainer is not None:
            bundle._check_explanation(path, golden, bundle.explainer, _array(path, contents[GOLDEN_CONTRIBUTIONS]))
        if bundle.reasons is not None:
            bundle._check_reasons(path, bundle.reasons)
        return bundle

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """The model's inputs, in the order of the matrix."""
        return self.encoder.names

    @cached_property
    def categories(self) -> Mapping[str, tuple[str, ...]]:
        """The names that the numbers of categories stand for, by input."""
        return {feature.name: feature.categories or () for feature in self.features if feature.kind == "category"}

    @property
    def definitions(self) -> dict[str, str]:
        """What the features mean to it, by family."""
        return {name: family["definition"] for name, family in self.plan["families"].items()}

    @cached_property
    def needed_names(self) -> tuple[str, ...]:
        """The features a decision takes: the model's inputs, then those that only hard rules look at."""
        return tuple(dict.fromkeys([*self.feature_names, *(rule.feature for rule in self.policy.eligibility)]))

    @cached_property
    def encoder(self) -> Encoder:
        """What turns features into the model's matrix."""
        return Encoder(self.features)

    def encode(self, columns: Mapping[str, Sequence[Any] | NDArray[Any]]) -> NDArray[np.float64]:
        """Turn features into the model's matrix, as `Encoder.encode` does."""
        return self.encoder.encode(columns)

    def score(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute PDs, one per row of an encoded matrix, on the calling thread alone.

        Raises
        ------
        CalibrationError
            A margin is not finite: the model is broken.
        """
        return self.calibrator.pds(self.booster.margins(matrix))

    def score_float32(self, numbers: NDArray[np.float32]) -> NDArray[np.float64]:
        """Compute PDs of numbers as `to_float32` gives them, to the bit those of the same rows in a matrix; raises as `score`."""
        return self.calibrator.pds(self.booster.margins(numbers))

    def _check_shape(self, path: Path) -> None:
        counts = {len(self.features), self.booster.feature_count, self.manifest["feature_count"]}
        if len(counts) != 1:
            raise BundleError(
                f"{path}: model, encoder and manifest disagree on the number of features: {sorted(counts)}"
            )
        if self.reference.inputs.keys() != set(self.feature_names):
            raise BundleError(f"{path}: reference.json is of other features than the encoder; train the version again")

    def _check_golden(self, path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
        if not rows:
            raise BundleError(f"{path}: golden.json has no rows, so the model cannot be checked")
        expected = np.array([row["pd"] for row in rows], dtype=np.float64)
        try:
            gaps = np.abs(self.score(golden_matrix(self.encoder, rows)) - expected)
        except CalibrationError as error:
            raise BundleError(f"{path}: {error}") from error
        if not (gaps <= GOLDEN_TOLERANCE).all():
            worst = int(np.argmax(np.nan_to_num(gaps, nan=np.inf)))
            raise BundleError(
                f"{path}: golden row {worst} scores {gaps[worst]:.3g} away from its score at registration;"
                " the library here is not the one the model was made with, or the bundle is broken"
            )

    def _check_explanation(
        self, path: Path, rows: Sequence[Mapping[str, Any]], explainer: Explainer, expected: NDArray[np.float64]
    ) -> None:
        matrix = golden_matrix(self.encoder, rows)
        try:
            found = explainer.all_contributions(matrix)
            gaps = np.abs(found - expected)
            for contributions, margin in zip(found, self.booster.margins(matrix).tolist(), strict=True):
                explainer.check(contributions, margin)
        except (ExplanationError, IndexError, ValueError) as error:
            raise BundleError(f"{path}: the golden rows cannot be explained ({error})") from error
        if not (gaps <= GOLDEN_CONTRIBUTION_TOLERANCE).all():
            raise BundleError(
                f"{path}: golden row {int(gaps.max(axis=1).argmax())} gets other contributions than at registration;"
                " numpy here is not the one the model was made with, or the bundle is broken"
            )

    def _check_reasons(self, path: Path, reasons: ReasonBook) -> None:
        try:
            reasons.require(self.feature_names)
        except BookError as error:
            raise BundleError(f"{path}: whoever is declined could not be told why ({error})") from error


def golden_matrix(encoder: Encoder, rows: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
    """Encode golden rows, each with its `features` by name."""
    return encoder.encode({name: [row["features"][name] for row in rows] for name in encoder.names})


def round_to_float32(matrix: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.float64]:
    """Round to float32 and back: the one precision in which training, batch and requests agree.

    Raises
    ------
    EncodingError
        A value is infinite. (A finite one past float32's range becomes its largest number: the order is kept.)
    """
    if (infinite := np.isinf(matrix)).any():
        name = names[int(np.flatnonzero(infinite.any(axis=0))[0])]
        raise EncodingError(
            f"feature {name} is infinite in {int(infinite.any(axis=1).sum())} rows; mend its SQL (a division by zero?)"
        )
    return to_float32(matrix).astype(np.float64)


def to_float32(matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    """Turn numbers into what a model sees of them; one past float32's range becomes its largest number: the order is kept."""
    return np.minimum(np.maximum(matrix, -FLOAT32_LIMIT), FLOAT32_LIMIT).astype(
        np.float32
    )  # np.clip takes ten times as long


def follow(bundles: Path, name: str = POINTER) -> Path | None:
    """Find the version a pointer names.

    Parameters
    ----------
    bundles
        Directory of published bundles, `Settings.bundles`.
    name
        The pointer: of the champion, or of its shadow.

    Returns
    -------
    Path or None
        The directory the pointer names; None when nothing was published yet.

    Raises
    ------
    BundleError
        The pointer is damaged or names no version.
    """
    pointer = bundles / name
    try:
        version = json.loads(pointer.read_text("utf-8"))["version"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"the pointer {pointer} is damaged; promote a version again") from error
    if not isinstance(version, str) or not re.fullmatch(r"[0-9a-f]{16}", version):
        raise BundleError(f"the pointer {pointer} names no model version; promote a version again")
    return bundles / version


def read_public_key(keys: Path) -> bytes:
    """Read the public keys written beside the local signing key (`Settings.keys`) whose bundles are taken today, 32 raw bytes each.

    Raises
    ------
    BundleError
        There is none, or it is no Ed25519 key.
    """
    return _read_keys(keys, parse_public_key)


def read_signers(keys: Path) -> bytes:
    """Read the public keys that sign chains of records, now and before, 32 raw bytes each.

    Raises
    ------
    BundleError
        As `read_public_key`.
    """
    return _read_keys(keys, trust.for_records)


def _read_keys(keys: Path, read: Callable[[str], bytes]) -> bytes:
    path = keys / PUBLIC_KEY_FILE
    try:
        return read(path.read_text("ascii"))
    except FileNotFoundError as error:
        raise BundleError(
            f"no public key at {path}; run `creditrisk run` once, or copy the key of the machine that trains"
        ) from error
    except (OSError, ValueError) as error:
        raise BundleError(
            f"the public key {path} is damaged ({error}); copy it again from the machine that trains"
        ) from error


def parse_public_key(text: str) -> bytes:
    """Decode the public keys whose bundles are taken today: the one in use, and those it replaced that are trusted still.

    Raises
    ------
    ValueError
        The text is none that `trust.read_keys` reads.
    """
    return trust.for_bundles(text)


def _verified_manifest(path: Path, public_key: bytes) -> dict[str, Any]:
    raw = _read(path, MANIFEST)
    try:
        signature = json.loads(_read(path, SIGNATURE))
        if signature["algorithm"] != "ed25519":
            raise BundleError(f"{path}: signed by an unknown algorithm")
        trust.signer(public_key, base64.b64decode(signature["signature"], validate=True), raw)
    except InvalidSignature as error:
        raise BundleError(
            f"{path}: the signature is not by a key that is trusted today, or the manifest was changed;"
            " publish the version again, or trust its key"
        ) from error
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise BundleError(f"{path}: {SIGNATURE} is damaged; publish the version again") from error
    try:
        manifest = json.loads(raw)
        found, files = manifest["format"], manifest["files"]
        manifest["model_version"], manifest["feature_count"]
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path}: {MANIFEST} does not describe a bundle") from error
    if found not in READ_FORMATS:
        raise BundleError(
            f"{path}: format {found} is not the one this release reads ({FORMAT}); train a version with this release"
            " (`creditrisk run`), or serve with the one that made it"
        )
    explained = set(EXPLANATION_FILES) if found == FORMAT else {*EXPLANATION_FILES} - {REASONS}
    if set(files) not in (set(FILES), {*FILES, *explained}):
        raise BundleError(
            f"{path}: the manifest lists {sorted(files)}; a bundle has {sorted(FILES)}, and all or none of {sorted(explained)}"
        )
    return dict(manifest)


def _verified_file(path: Path, name: str, digest: str) -> bytes:
    content = _read(path, name)
    if hashlib.sha256(content).hexdigest() != digest:
        raise BundleError(f"{path}: {name} was changed after it was signed; publish the version again")
    return content


def _verified_table(path: Path, digest: str) -> NDArray[np.float32]:
    """Map the table of contributions into memory: processes on one machine share it."""
    try:
        with (path / TABLE).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != digest:
            raise BundleError(f"{path}: {TABLE} was changed after it was signed; publish the version again")
        table = np.load(path / TABLE, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise BundleError(f"{path}: {TABLE} cannot be read ({error.strerror}); publish the version again") from error
    except (EOFError, ValueError) as error:
        raise BundleError(f"{path}: {TABLE} is no table of contributions ({error})") from error
    if table.dtype != np.float32 or table.ndim != 1:
        raise BundleError(f"{path}: {TABLE} is no table of contributions ({table.dtype}, {table.ndim} dimensions)")
    mapped: NDArray[np.float32] = table.view(np.ndarray)
    return mapped


def _array(path: Path, content: bytes) -> NDArray[np.float64]:
    try:
        found: NDArray[np.float64] = np.load(io.BytesIO(content), allow_pickle=False)
    except (EOFError, ValueError) as error:
        raise BundleError(f"{path}: {GOLDEN_CONTRIBUTIONS} is no array ({error})") from error
    return found


def _read(path: Path, name: str) -> bytes:
    try:
        return (path / name).read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: {name} cannot be read ({error.strerror}); publish the version again") from error


def parse_features(encoder: Mapping[str, Any]) -> tuple[BundleFeature, ...]:
    """Read the features from the content of `encoder.json`."""
    return tuple(
        BundleFeature(
            name=entry["name"],
            family=entry["family"],
            kind=entry["kind"],
            categories=None if entry["categories"] is None else tuple(entry["categories"]),
            monotone=entry["monotone"],
        )
        for entry in encoder["features"]
    )


def _coded(feature: BundleFeature, values: Any) -> list[float]:
    """Replace category names by their codes."""
    codes = feature.codes
    return [codes.get(value, np.nan) if isinstance(value, str) else _unknown(feature, value) for value in values]


def _unknown(feature: BundleFeature, value: Any) -> float:
    if value is None or value != value:  # noqa: PLR0124 - NaN is the one value unequal to itself
        return np.nan
    raise EncodingError(f"feature {feature.name} is a category and takes text; it got {type(value).__name__}")


def _numbers(feature: BundleFeature, values: Any) -> NDArray[np.float64]:
    try:
        return np.asarray(values, dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise EncodingError(f"feature {feature.name} takes numbers; it got another type") from error
