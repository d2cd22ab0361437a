"""The ``facediff`` command: registers the verbs, and turns what goes wrong into one line and an exit code."""

from __future__ import annotations

import errno
import importlib
import sys
from typing import Annotated

import typer

from facediff_cli.reporting import forgive_streams, print_error
from facediff_cli.signals import as_interrupts

_GROUPS = {
    "preprocess": "Turn photos into aligned faces, and videos into clips of talking faces.",
    "train": "Train the networks.",
    "finetune": "Tune a finished model.",
    "eval": "Measure models, and pictures that any system made.",
    "study": "Ask people how real pictures look and what they show.",
    "manifest": "Look at what facediff wrote: contents, integrity, ancestry.",
    "models": "Find, check, import, export and share models.",
}
_COMMANDS = (
    *("edit", "talk", "demo", "expression", "synthesize", "interpolate", "neighbors", "run", "shard", "report"),
    "doctor",
)
_UNUSABLE_FILE = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "not permitted",
}
_EXIT_USAGE = 2
_EXIT_BAD_FILE = 3
_EXIT_MISSING = 6
_EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="facediff",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"facediff {version('facediff')}")
        except PackageNotFoundError:
            print("facediff (not installed)")
        raise typer.Exit


@app.callback()
def facediff(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Edit the expression of a face in a real photo, and train the models that do it.

    Exit codes: 0 done or up to date, 1 a bug, 2 usage or settings, 3 bad input, 4 the output holds something else,
    5 too many samples rejected, 6 a model is missing, 130 interrupted.
    """


def _register() -> None:
    for name in _COMMANDS:
        app.command(name)(getattr(importlib.import_module(f"facediff_cli.commands.{name}"), name))
    for name, help_text in _GROUPS.items():
        module = importlib.import_module(f"facediff_cli.commands.{name}")
        app.add_typer(module.app, name=name, help=help_text, no_args_is_help=True)


_register()


def main(arguments: list[str] | None = None) -> int:
    """Run one command line and return its exit code; only a bug leaves as an exception, with its traceback."""
    forgive_streams()
    arguments = sys.argv[1:] if arguments is None else arguments
    as_json = "--json" in arguments
    try:
        with as_interrupts():
            exit_code = int(app(arguments, prog_name="facediff", standalone_mode=False) or 0)
        if exit_code == _EXIT_INTERRUPTED:  # which is all that Typer makes of an interrupt
            print_error("interrupted", exit_code, as_json)
        return exit_code
    except typer.TyperException as error:
        return _fail_usage(error, as_json)
    except (KeyboardInterrupt, typer.Abort):
        print_error("interrupted", _EXIT_INTERRUPTED, as_json)
        return _EXIT_INTERRUPTED
    except OSError as error:
        if error.errno not in _UNUSABLE_FILE:
            raise
        place = f" ({error.filename})" if error.filename else ""
        print_error(f"{_UNUSABLE_FILE[error.errno]}{place}", _EXIT_BAD_FILE, as_json)
        return _EXIT_BAD_FILE
    except ModuleNotFoundError as error:
        from facediff_cli.packages import how_to_install

        remedy = how_to_install(error.name)
        if remedy is None:
            raise
        print_error(f"this needs the package {error.name}. {remedy}", _EXIT_MISSING, as_json)
        return _EXIT_MISSING
    except Exception as error:
        from stages.common.errors import FacediffError

        if not isinstance(error, FacediffError):
            raise
        print_error(str(error), error.exit_code, as_json)
        return error.exit_code


def _fail_usage(error: typer.TyperException, as_json: bool) -> int:
    context = getattr(error, "ctx", None)
    message = error.format_message().rstrip(".")
    if not message or type(error).__name__ == "NoArgsIsHelpError":
        return _EXIT_USAGE
    command = context.command_path if context else "facediff"
    print_error(f"{message}. Try '{command} --help'", _EXIT_USAGE, as_json)
    return _EXIT_USAGE


if __name__ == "__main__":
    sys.exit(main())
