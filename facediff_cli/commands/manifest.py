"""``facediff manifest``: contents, integrity and ancestry of what facediff wrote."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facediff_cli.options import JsonOption
from facediff_cli.reporting import emit

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer()

PathArgument = Annotated[
    Path,
    typer.Argument(
        metavar="FILE|DIR", help="An artifact's folder or a file in it, an edited picture, or a model's name."
    ),
]


@app.command()
def show(path: PathArgument, as_json: JsonOption = False) -> None:
    """Show what an artifact is, or how an edited picture was made.

    **Examples**

    * `facediff manifest show runs/faces`

    * `facediff manifest show portrait-happy.png --json`
    """
    from facediff_cli.ancestry import find_artifact, find_provenance
    from facediff_cli.stage_command import summary_rows

    provenance = find_provenance(path)
    if provenance is not None:
        emit(provenance, as_json, lambda console: console.print_json(data=provenance))
        return
    artifact = find_artifact(path)
    manifest = artifact.manifest

    def render(console: Console) -> None:
        import yaml

        console.print(f"{manifest.kind.value}  {artifact.root}", markup=False, style="bold")
        for name, value in summary_rows(manifest):
            console.print(f"  {name:<12} {value}", markup=False)
        console.print(
            f"  stage        {manifest.stage.name} {manifest.stage.version}, seed {manifest.seed}", markup=False
        )
        for reference in manifest.inputs:
            console.print(f"  {reference.role:<12} {reference.kind.value} {reference.id}", markup=False)
        console.print("  settings", markup=False)
        for line in yaml.safe_dump(dict(manifest.config), sort_keys=False).splitlines():
            console.print(f"    {line}", markup=False)

    emit(manifest.model_dump(mode="json"), as_json, render)


@app.command()
def verify(path: PathArgument, as_json: JsonOption = False) -> None:
    """Check every file of an artifact against its manifest. Leaves with 3 if one differs, in a model with 6.

    **Examples**

    * `facediff manifest verify runs/shards`
    """
    from facediff_cli.ancestry import find_artifact
    from stages.common.weights import require_unaltered

    artifact = find_artifact(path)
    require_unaltered(artifact)
    files = len(artifact.manifest.outputs)
    payload = {"path": str(artifact.root), "artifact_id": artifact.manifest.artifact_id, "files": files, "problems": []}
    emit(payload, as_json, lambda console: console.print(f"{artifact.root}: {files} files as written", markup=False))


@app.command()
def lineage(path: PathArgument, as_json: JsonOption = False) -> None:
    """Show what an artifact or an edited picture was made from, back to the sources, as a tree.

    **Examples**

    * `facediff manifest lineage runs/ldm`

    * `facediff manifest lineage portrait-happy.png`
    """
    from facediff_cli.ancestry import build_tree, find_artifact, find_provenance, picture_tree, render_tree

    provenance = find_provenance(path)
    tree = build_tree(find_artifact(path)) if provenance is None else picture_tree(path, provenance)
    emit(tree, as_json, lambda console: console.print(render_tree(tree)))
