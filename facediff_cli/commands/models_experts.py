"""``facediff models experts`` and ``fetch``: networks of other people that metrics and finetuning stand on."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from facediff_cli.options import DryRunOption, JsonOption
from facediff_cli.reporting import RichProgress, emit, format_size

if TYPE_CHECKING:
    from rich.console import Console


def experts(as_json: JsonOption = False) -> None:
    """List the networks of other people that metrics and finetuning use: licence, checksum, and where they lie.

    **Examples**

    * `facediff models experts`
    """
    from stages.common.experts import EXPERTS, find_expert

    paths = {name: find_expert(name) for name in EXPERTS}
    listed = [{**asdict(e), "path": str(paths[e.name]) if paths[e.name] else None} for e in EXPERTS.values()]

    def render(console: Console) -> None:
        for expert in EXPERTS.values():
            console.print(f"{expert.name}  {expert.used_for}", markup=False, style="bold")
            console.print(f"  licence   {expert.licence}", markup=False)
            console.print(f"  checksum  {expert.checksum or 'none known'}", markup=False)
            console.print(f"  file      {paths[expert.name] or f'not here. {expert.way_to_get}'}", markup=False)

    emit({"experts": listed}, as_json, render)


def fetch(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Experts that `models experts` lists.")],
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Fetch networks of other people from their publishers into the cache folder; each must have the known checksum.

    By fetching one you accept its licence, which `facediff models experts` shows.

    **Examples**

    * `facediff models fetch inception vgg16`

    * `facediff models fetch syncnet --dry-run`
    """
    from stages.common.experts import EXPERTS, find_expert
    from stages.common.hub.fetch_expert import absent_experts, fetch_expert

    absent = absent_experts(names)
    for expert in () if dry_run else absent:
        fetch_expert(expert, RichProgress())
    payload = [
        {**asdict(EXPERTS[name]), "path": str(find_expert(name) or ""), "was_here": EXPERTS[name] not in absent}
        for name in dict.fromkeys(names)
    ]

    def render(console: Console) -> None:
        for name in dict.fromkeys(names):
            expert = EXPERTS[name]
            size = f", {format_size(expert.size_bytes)}" if expert.size_bytes else ""
            done = "to fetch" if dry_run else f"fetched to {find_expert(name)}"
            told = f"{done} from {expert.source}{size}" if expert in absent else f"already at {find_expert(name)}"
            console.print(f"{name}  {told}\n  licence   {expert.licence}", markup=False)

    emit({"experts": payload, "dry_run": dry_run}, as_json, render)
