"""The package SageMaker starts the service from.

What belongs here: which files of a home it holds. What does not: the routes SageMaker calls (`creditrisk_serving.sagemaker`), the image.

SageMaker unpacks `model.tar.gz` to /opt/ml/model and starts the image with the argument `serve`, which is what the serving image's command
is called; ENVIRONMENT are the settings it needs for that.
"""

import gzip
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

from creditrisk_assets.modelling.bundle import PUBLIC_KEY_FILE, Bundle, BundleError, follow
from creditrisk_serving.settings import ServingSettings

NAME = "model.tar.gz"
MODEL = "/opt/ml/model"
ENVIRONMENT = {
    "CREDITRISK_HOME": MODEL,
    "CREDITRISK_SERVING_HOST": "0.0.0.0",  # noqa: S104 # a container's own network
    "CREDITRISK_SERVING_PORT": "8080",
    "CREDITRISK_SERVING_JOURNAL": "/tmp/journal",  # noqa: S108 # the container's own
    "CREDITRISK_SERVING_DECISIONS_STORED": "database",
}


def package(settings: ServingSettings, public_key: bytes, out: Path) -> Path:
    """Write `model.tar.gz`: the champion's bundle, the key that proves it, hashed API keys, and the online store where it is files.

    Equal content is equal bytes.

    Parameters
    ----------
    settings
        Of the home to take them from.
    public_key
        The trusted key: a bundle that does not verify is not packaged.
    out
        Directory to write to.

    Raises
    ------
    BundleError
        Nothing was published, or what was does not verify.
    RuntimeError
        There are no API keys, so that nobody could call it.
    """
    home = settings.platform.root
    path = follow(settings.platform.bundles)
    if path is None:
        raise BundleError("no model bundle was published; run `creditrisk run`")
    Bundle.load(path, public_key)
    if not settings.api_keys_file.exists():
        raise RuntimeError(
            f"no API keys in {settings.api_keys_file}; make one for the callers with `creditrisk keys create`"
        )
    out.mkdir(parents=True, exist_ok=True)
    target = out / NAME
    members = {f"keys/{PUBLIC_KEY_FILE}": home / "keys" / PUBLIC_KEY_FILE, "keys/api_keys.json": settings.api_keys_file}
    members |= {"bundles/CURRENT": path.parent / "CURRENT"}
    members |= {f"bundles/{path.name}/{file.relative_to(path)}": file for file in _files(path)}
    if settings.platform.online_store is None:
        members |= {
            f"online/{file.relative_to(settings.platform.online)}": file for file in _files(settings.platform.online)
        }
    with (
        target.open("wb") as stream,
        gzip.GzipFile(fileobj=stream, mode="wb", mtime=0, filename="") as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for name in sorted(members):
            content = members[name].read_bytes()
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o600
            tar.addfile(info, io.BytesIO(content))
    return target


def _files(directory: Path) -> Iterator[Path]:
    return (
        path for path in directory.rglob("*") if path.is_file() and not path.name.endswith((".lock", "-wal", "-shm"))
    )
