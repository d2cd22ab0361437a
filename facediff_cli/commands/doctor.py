"""``facediff doctor``: what is installed, what is missing, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from facediff_cli.options import JsonOption
from facediff_cli.reporting import emit

if TYPE_CHECKING:
    from rich.console import Console

    from facediff_cli.health import Check


def doctor(as_json: JsonOption = False) -> None:
    """Check versions, device, models and detector weights. Leaves with 0 if `facediff edit` can work, else with 6.

    **Examples**

    * `facediff doctor`

    * `facediff doctor --json`
    """
    from facediff_cli.health import can_edit, run_checks
    from stages.common.errors import MissingModelError

    checks = run_checks()
    works = can_edit(checks)
    payload = {"can_edit": works, "checks": [check.as_json() for check in checks]}
    emit(payload, as_json, lambda console: _render(console, checks, works))
    if not works:
        raise typer.Exit(MissingModelError.exit_code)


def _render(console: Console, checks: list[Check], works: bool) -> None:
    for check in checks:
        mark, style = ("ok", "green") if check.ok else ("--", "yellow")
        console.print(f"{mark}  {check.name:<22} {check.found}", markup=False, style=style)
        if not check.ok and check.remedy:
            console.print(f"    {check.remedy}", markup=False)
    console.print("facediff edit can work" if works else "facediff edit cannot work", style="bold")
