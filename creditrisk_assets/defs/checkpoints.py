"""Where research that is under way keeps what it has found, so that a killed run goes on.

What belongs here: directories and what they stand for. What does not: what is kept there (`modelling.selection`, `modelling.search`).
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.defs.artefact import Work


def checkpoints(work: Work, code: str, depends_on: Mapping[str, str]) -> Path:
    """Return the directory of this work: another for other code, inputs or settings. What stood for others is deleted.

    Parameters
    ----------
    work
        Its draft names it; its inputs count.
    code
        The code version.
    depends_on
        What else it depends on -> fingerprint.
    """
    inputs = {key: version.version for key, version in work.inputs.items()}
    home = work.settings.research / work.draft.key.replace("/", "_")
    kept = home / code_version(code, {**inputs, **depends_on})
    kept.mkdir(parents=True, exist_ok=True)
    for other in home.iterdir():
        if other != kept:
            shutil.rmtree(other)
    return kept
