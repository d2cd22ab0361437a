"""``facediff report``: evaluations as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facediff_cli.options import DryRunOption, JsonOption
from facediff_cli.reporting import emit, format_size
from facediff_cli.stage_command import load_input

if TYPE_CHECKING:
    from rich.console import Console


def report(
    evaluations: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders that `eval` wrote.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE.html", help="The page to write.")] = Path(
        "report.html"
    ),
    title: Annotated[str, typer.Option("--title", help="Its heading.")] = "facediff report",
    faces: Annotated[
        bool, typer.Option("--faces/--no-faces", help="Show faces, or leave them out: not all may be published.")
    ] = True,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write evaluations as one self-contained HTML page: tables beside the thesis's, plots, pictures and lineage.

    A page that an earlier report wrote is replaced; any other file is left alone.

    **Examples**

    * `facediff report runs/eval-edit runs/eval-generation --out report.html`
    """
    from facediff_cli.report.page import GENERATOR, render_page
    from stages.common.errors import BadInputError, ResumeConflictError
    from stages.common.manifest import write_atomically

    artifacts = [load_input(path, "evaluation") for path in evaluations]
    page = render_page(artifacts, title, faces=faces).encode()
    if out.is_dir():
        raise BadInputError(f"{out} is a folder", "Give the name of a page, such as report.html")
    if out.is_file() and GENERATOR.encode() not in out.read_bytes():
        raise ResumeConflictError(
            f"{out} was not written by facediff report", "Choose another --out, or delete it first"
        )
    if not dry_run:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out, page)
    payload = {
        "out": str(out),
        "bytes": len(page),
        "evaluations": [artifact.manifest.artifact_id for artifact in artifacts],
        "dry_run": dry_run,
    }

    def render(console: Console) -> None:
        verb = "would write" if dry_run else "wrote"
        console.print(f"{verb} {out} ({format_size(len(page))}, {len(artifacts)} evaluations)", markup=False)

    emit(payload, as_json, render)
