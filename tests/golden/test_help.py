"""The help text of every command is as it was last accepted; ``make golden`` accepts the current ones."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import typer.rich_utils

from facediff_cli.main import app, main

FOLDER = Path(__file__).parent / "help"
UPDATE = os.environ.get("FACEDIFF_UPDATE_GOLDEN") == "1"


def walk(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from walk(child, (*path, name))


COMMANDS = dict(walk(typer.main.get_command(app)))


def file_of(path: tuple[str, ...]) -> Path:
    return FOLDER / ("-".join(("facediff", *path)) + ".txt")


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help(path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(typer.rich_utils, "FORCE_TERMINAL", False)
    monkeypatch.setattr(typer.rich_utils, "MAX_WIDTH", None)
    assert main([*path, "--help"]) == 0
    shown = "\n".join(line.rstrip() for line in capsys.readouterr().out.strip().splitlines()) + "\n"
    if UPDATE:
        FOLDER.mkdir(exist_ok=True)
        file_of(path).write_text(shown, "utf-8")
    assert file_of(path).read_text("utf-8") == shown, "if this is meant: make golden"


def test_every_accepted_help_belongs_to_a_command():
    assert {path.name for path in FOLDER.iterdir()} == {file_of(path).name for path in COMMANDS}


@pytest.mark.parametrize("path", [p for p, c in COMMANDS.items() if not hasattr(c, "commands")], ids=" ".join)
def test_every_command_has_json_and_examples(path):
    command = COMMANDS[path]
    options = {option for parameter in command.params for option in parameter.opts}
    assert "--json" in options
    assert "**Examples**" in (command.help or "")
    assert ("--out" in options) <= ("--dry-run" in options), "what writes can be tried dry"
