"""Which directory the raw tables come from.

A setting decides; without one, the directory last given to `creditrisk run --source`; without that, the sample portfolio.
"""

import json
from pathlib import Path

from creditrisk_assets.lake import write_atomically
from creditrisk_assets.settings import Settings

CHOICE = "source.json"
SAMPLE_MARK = "portfolio.json"  # what the simulator leaves beside its tables


def source_directory(settings: Settings) -> Path:
    """Return the directory the raw tables are read from."""
    if settings.source is not None:
        return settings.source.expanduser().resolve()
    try:
        return Path(json.loads((settings.root / CHOICE).read_text("utf-8"))["directory"])
    except FileNotFoundError:
        return sample_directory(settings)


def remember_source(settings: Settings, directory: Path) -> None:
    """Make a directory the source of this and later runs, from the command line and the UI alike."""
    write_atomically(settings.root / CHOICE, json.dumps({"directory": str(directory.expanduser().resolve())}))


def is_sample(directory: Path) -> bool:
    """Tell whether a directory holds the synthetic portfolio, whose figures must say so."""
    return (directory / SAMPLE_MARK).is_file()


def source_identity(directory: Path) -> str:
    """Name what is compared with itself from run to run: the directory, and for a sample portfolio how it was drawn."""
    if not is_sample(directory):
        return str(directory)
    drawn = json.loads((directory / SAMPLE_MARK).read_text("utf-8"))
    return f"{directory} {[drawn.get(name) for name in ('generator_version', 'seed', 'scale', 'scenario')]}"


def sample_directory(settings: Settings, scale: float = 0.05) -> Path:
    """Return where the sample portfolio of a scale is kept."""
    return settings.root / "sample" / f"scale-{scale:g}"
