"""The one error tree. A stage raises; the command line maps ``exit_code`` and prints one line."""

from __future__ import annotations


class FacediffError(Exception):
    """Something the user can act on: ``what`` went wrong, and what to do next in ``hint``."""

    exit_code = 1

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(f"{what}. {hint}" if hint else what)
        self.what = what
        self.hint = hint


class ConfigError(FacediffError):
    """A command line or configuration that cannot be understood."""

    exit_code = 2


class BadInputError(FacediffError):
    """An input file that cannot be used: ``reason`` is its short, countable name."""

    exit_code = 3

    def __init__(self, what: str, hint: str = "", *, reason: str = "unusable") -> None:
        super().__init__(what, hint)
        self.reason = reason


class ResumeConflictError(FacediffError):
    """The output folder holds something else than this run would write."""

    exit_code = 4


class TooManyRejectedError(FacediffError):
    """More samples were rejected than the configuration allows."""

    exit_code = 5


class MissingModelError(FacediffError):
    """A model is absent, incomplete or altered."""

    exit_code = 6


class Interrupted(FacediffError):  # noqa: N818 - named like KeyboardInterrupt
    """Stopped by the user after the current step was saved."""

    exit_code = 130
