"""Running the commands of a document: blocks fenced as ```console, line by line, in a prepared home.

A block that another test runs has the line `<!-- run by PATH -->` directly before it, which names that test. One that needs what no test
has (a cluster, a container engine, hours) has `<!-- parsed: WHY -->`: its commands and their options exist.
"""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import typer

from creditrisk_assets import cli

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(
    r"(?:^ *<!-- (?:run by (?P<by>\S+)|(?P<parsed>parsed): .+) -->\n)?^(?P<indent> *)```console\n(?P<text>.*?)^ *```$",
    re.M | re.S,
)
SHELL = re.compile(  # that stands in no such block, so that nothing would run it
    r"^ *```(?:bash|sh|shell|shell-session)$"
    r"|^(?: {4}|\t) *(?:\$ )?(?:(?:[A-Z_]+=\S+ )?(?:creditrisk|python) |make |export |pip |docker |kubectl |curl ).*",
    re.M,
)
INLINE = re.compile(r"`((?:[A-Z_]+=\S+ )?(?:creditrisk|make) [^`]+)`")
TARGETS = frozenset(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
COMMENT = re.compile(r"\s+#.*$")
ASSIGNMENT = re.compile(r"[A-Z_]+=.*")


@dataclass(frozen=True)
class Command:
    """One command of a document, and the test that runs it instead, if any; whether it is only parsed."""

    text: str
    by: str | None
    parsed: bool = False


def commands(document: Path) -> list[Command]:
    """List the commands of a document in their order."""
    found = []
    for block in BLOCK.finditer(document.read_text("utf-8")):
        lines = block["text"].replace("\\\n", " ").splitlines()
        texts = [COMMENT.sub("", line).strip() for line in lines]
        found += [
            Command(text, block["by"], block["parsed"] is not None)
            for text in texts
            if text and not text.startswith("#")
        ]
    return found


def outside(document: Path) -> list[str]:
    """List the lines of shell that no block for commands holds."""
    return SHELL.findall(BLOCK.sub("", document.read_text("utf-8")))


def mentioned(document: Path) -> list[str]:
    """List the commands of a document, those in its sentences too."""
    return [command.text for command in commands(document)] + INLINE.findall(document.read_text("utf-8"))


@cache
def commands_known() -> Any:
    """Return the `creditrisk` command with all that joins it."""
    joined = typer.Typer()
    for part in (cli.app, *(entry.load() for entry in entry_points(group=cli.COMMANDS))):
        joined.registered_commands += part.registered_commands
        joined.registered_groups += part.registered_groups
    return typer.main.get_command(joined)


def unknown(text: str) -> list[str]:
    """Name what a command line asks for and does not exist: commands, options, make targets, modules of ours."""
    try:
        words = shlex.split(re.sub(r"[\[\]](?=-|\s|$)|(?<=\s)\[", " ", text))
    except ValueError:  # a sentence's half of one
        words = text.split()
    words = [word for word in words if not ASSIGNMENT.fullmatch(word)]
    if words[:1] == ["make"]:
        return [word for word in words[1:] if word.isalpha() and word.islower() and word not in TARGETS]
    if "-m" in words and words[words.index("-m") + 1].startswith("creditrisk"):
        module = words[words.index("-m") + 1]
        return [] if (ROOT / f"{module.replace('.', '/')}.py").is_file() else [module]
    if words[:1] != ["creditrisk"]:
        return [
            word
            for word in words
            if word.startswith("deploy/") and not (ROOT / word).exists() and word != "deploy/.env"
        ]
    command, wrong = commands_known(), []
    for word in words[1:]:
        if word in ("|", "&&", ";", ">"):
            break
        if word in getattr(command, "commands", ()):
            command = command.commands[word]
        elif word.startswith("-"):
            options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
            wrong += [word] if word.split("=")[0] not in options | {"--help"} else []
        elif hasattr(command, "commands") and word.islower():
            wrong.append(word)
    return wrong


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
