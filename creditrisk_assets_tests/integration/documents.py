"""Running the commands of a document: blocks fenced as ```console, line by line, in a prepared home.

A block that another test runs has the line `<!-- run by PATH -->` directly before it, which names that test.
"""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from creditrisk_assets import cli

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"(?:^ *<!-- run by (?P<by>\S+) -->\n)?^(?P<indent> *)```console\n(?P<text>.*?)^ *```$", re.M | re.S)
COMMENT = re.compile(r"\s+#.*$")
ASSIGNMENT = re.compile(r"[A-Z_]+=.*")


@dataclass(frozen=True)
class Command:
    """One command of a document, and the test that runs it instead, if any."""

    text: str
    by: str | None


def commands(document: Path) -> list[Command]:
    """List the commands of a document in their order."""
    found = []
    for block in BLOCK.finditer(document.read_text("utf-8")):
        lines = block["text"].replace("\\\n", " ").splitlines()
        texts = [COMMENT.sub("", line).strip() for line in lines]
        found += [Command(text, block["by"]) for text in texts if text and not text.startswith("#")]
    return found


def execute(text: str, directory: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Run one command as a shell would: ours in this process, for one import of everything is enough; any other by bash."""
    words = shlex.split(os.path.expandvars(text))
    settings = dict(
        word.split("=", 1) for word in words if ASSIGNMENT.fullmatch(word) and "creditrisk" not in word[:10]
    )
    arguments = [word for word in words if word not in {f"{name}={value}" for name, value in settings.items()}]
    plain = arguments[:1] == ["creditrisk"] and not re.search(r"[|>&;]", text)
    if not plain:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text], cwd=directory, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        patch.setattr(sys, "argv", arguments)
        for name, value in settings.items():
            patch.setenv(name, value)
        for registered in ("registered_commands", "registered_groups"):  # `main` adds to them
            patch.setattr(cli.app, registered, list(getattr(cli.app, registered)))
        capfd.readouterr()
        assert not _exit_code(), f"{text} failed\n{''.join(capfd.readouterr())}"


def _exit_code() -> object:
    try:
        cli.main()
    except SystemExit as ended:
        return ended.code
    return 0
