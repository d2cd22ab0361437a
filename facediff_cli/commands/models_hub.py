"""``facediff models pull`` and ``push``: models from and to a Hugging Face hub."""

from __future__ import annotations

from typing import Annotated

import typer

from facediff_cli.options import DryRunOption, JsonOption
from facediff_cli.reporting import RichProgress, emit, format_size

RevisionOption = Annotated[
    str | None, typer.Option("--revision", metavar="REV", help="Branch, tag or commit (the default branch).")
]


def pull(
    source: Annotated[str, typer.Argument(metavar="OWNER/NAME|URL", help="A model on the hub.")],
    name: Annotated[str | None, typer.Option("--name", help="What to call it here (its name on the hub).")] = None,
    revision: RevisionOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Fetch a model from a Hugging Face hub into the cache folder, each file checked against its SHA-256.

    A pull that broke off is continued. `HF_ENDPOINT` names another hub, `HF_TOKEN` opens private models.

    **Examples**

    * `facediff models pull someone/facediff-128`

    * `facediff models pull https://huggingface.co/someone/facediff-128 --revision v2 --name faces`
    """
    from stages.common.hub.address import parse_address
    from stages.common.hub.pull import destination_for, find_offer
    from stages.common.hub.pull import pull as pull_model

    offer = find_offer(parse_address(source, revision))
    name = name or offer.address.name
    root = destination_for(offer, name) if dry_run else pull_model(offer, name, RichProgress()).root
    payload = {
        "name": name,
        "path": str(root),
        "commit": offer.commit,
        "artifact_id": offer.manifest.artifact_id,
        "files": len(offer.manifest.outputs),
        "bytes": offer.bytes,
        "dry_run": dry_run,
    }
    told = f"{name}  {root}  {len(offer.manifest.outputs)} files, {format_size(offer.bytes)}" + (
        " to fetch" if dry_run else ""
    )
    emit(payload, as_json, lambda console: console.print(told, markup=False))


def push(
    name: Annotated[str, typer.Argument(metavar="NAME|DIR", help="A model's name, or a folder with a manifest.")],
    target: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The repository; it is made if need be.")],
    revision: RevisionOption = None,
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Publish a model on a Hugging Face hub, in one commit, with its manifest, its ancestry and its model card.

    **Examples**

    * `facediff models push runs/my-model me/facediff-128 --private`
    """
    from stages.common.hub.address import parse_address
    from stages.common.hub.push import list_parts
    from stages.common.hub.push import push as push_model
    from stages.common.weights import resolve_model

    address, model = parse_address(target, revision), resolve_model(name)
    commit = None if dry_run else push_model(model, address, private=private)
    files = list_parts(model)
    payload = {
        "url": str(address),
        "commit": commit,
        "artifact_id": model.manifest.artifact_id,
        "files": files,
        "dry_run": dry_run,
    }
    told = f"{address}  {len(files)} files" + (" to send" if dry_run else "")
    emit(payload, as_json, lambda console: console.print(told, markup=False))
