"""``facediff finetune``: tune a finished model."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from facediff_cli.commands.eval_talk import DEFAULT_READER
from facediff_cli.commands.talk import DEFAULT_TALKER, load_talker_artifact
from facediff_cli.commands.train import ClipsOption
from facediff_cli.options import DEFAULT_MODEL, DataOption, ModelOption, OutFolderOption, as_settings
from facediff_cli.shared_options import takes
from facediff_cli.stage_command import load_input
from facediff_cli.training_command import TrainingOptions, resolve_training, train

if TYPE_CHECKING:
    from stages.common.manifest import Artifact
    from stages.finetune.config import FinetuneConfig

app = typer.Typer()
_DEFAULT_CLIP = "openai/clip-vit-base-patch16"


class Guide(StrEnum):
    """What says how far an edit is from the expression."""

    CLIP = "clip"
    CLASSIFIER = "classifier"


class Identity(StrEnum):
    """What tells faces apart."""

    ARCFACE = "arcface"
    SQUEEZENET = "squeezenet"
    NONE = "none"


@app.callback()
def finetune() -> None:
    """Tune a finished model."""


@app.command()
@takes(TrainingOptions, config="mini")
def clip(
    how: TrainingOptions,
    target: Annotated[str, typer.Option("--target", "-t", help="The expression that edits should show more clearly.")],
    data: DataOption,
    out: OutFolderOption,
    model: ModelOption = DEFAULT_MODEL,
    guide: Annotated[
        Guide | None, typer.Option("--guide", help="clip, or the model's own emotion classifier (offline).")
    ] = None,
    clip_model: Annotated[
        str, typer.Option("--clip", metavar="NAME|DIR", help="A CLIP checkpoint: a folder, or a name in the HF cache.")
    ] = _DEFAULT_CLIP,
    identity: Annotated[
        Identity | None, typer.Option("--identity", help="The network of the identity loss; none goes without.")
    ] = None,
    guidance: Annotated[
        float | None, typer.Option("--guidance", help="The scale to tune for; if left out, what the model recommends.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Tune all weights and write a whole model.")] = False,
) -> None:
    """Tune a model's denoiser so that CLIP sees one expression in its edits, and write a small update of the model.

    Training pictures are inverted once; then each step samples some of them back under the target in six differentiable
    DDIM steps and follows the directional CLIP loss, an identity loss and a pixel loss. `edit --model OUT` uses the
    result. One update serves one target and one guidance scale.

    **Examples**

    * `facediff finetune clip --target happy --data runs/shards --out runs/happier`

    * `facediff finetune clip -t surprise --guide classifier --identity squeezenet --data runs/shards --out runs/wow`

    * `facediff finetune clip -t sad --full --set loop.learning_rate=2e-6 --data runs/shards --out runs/sadder`

    * `facediff edit --emotion happy --model runs/happier portrait.jpg`
    """
    from stages.common.model_input import as_model_input
    from stages.common.weights import resolve_model
    from stages.finetune.run import FINETUNE, finetune_stage

    given = as_settings({"target": target, "guide": guide, "identity": identity, "guidance": guidance})
    config: FinetuneConfig = resolve_training(FINETUNE, how, [*given, *_which_weights(full)])
    inputs = {"data": load_input(data, "shards"), **as_model_input(resolve_model(model)), **_judges(config, clip_model)}
    train(finetune_stage(whole=config.lora is None), inputs, out, how, config)


@app.command()
@takes(TrainingOptions, config="grid-mini")
def lipread(
    how: TrainingOptions,
    data: ClipsOption,
    out: OutFolderOption,
    model: ModelOption = DEFAULT_TALKER,
    reader: Annotated[
        str, typer.Option("--reader", metavar="NAME|DIR", help="The lip reader to please.")
    ] = DEFAULT_READER,
    full: Annotated[bool, typer.Option("--full", help="Tune all weights, not a low-rank update.")] = False,
) -> None:
    """Tune a talking face so that a lip reader sees in its frames what it sees in the real ones.

    Frames of clips are noised to a random level and made again in eight differentiable DDIM steps; the loss is the
    distance of the reader's features of both mouths, and of the latents. The result is a whole model, also where a
    low-rank update is tuned. Judge it with another reader than the one that it was tuned with.

    **Examples**

    * `facediff finetune lipread --data runs/grid --out runs/clearer`

    * `facediff finetune lipread --data runs/grid --model runs/talk --reader runs/expert --full --out runs/clearer`

    * `facediff eval lipread --data runs/grid --clips clearer=talked --reader runs/judge --out runs/eval`
    """
    from stages.common.lip_reading import find_lip_reader
    from stages.finetune_lipread.run import FINETUNE_LIPREAD

    config = resolve_training(FINETUNE_LIPREAD, how, _which_weights(full))
    inputs = {
        "data": load_input(data, "clips"),
        "model": load_talker_artifact(model),
        "reader": find_lip_reader(reader),
    }
    train(FINETUNE_LIPREAD, inputs, out, how, config)


def _which_weights(full: bool) -> list[str]:
    return ["lora=null"] if full else []


def _judges(config: FinetuneConfig, clip_model: str) -> dict[str, Artifact]:
    """The networks behind the losses, where they are not the model's own."""
    from stages.finetune.clip import find_clip
    from stages.finetune.identity import find_identity
    from stages.finetune.run import GUIDE_ROLE, IDENTITY_ROLE

    found = {GUIDE_ROLE: find_clip(clip_model) if config.guide == "clip" else None}
    found[IDENTITY_ROLE] = find_identity(config.identity)
    return {role: artifact for role, artifact in found.items() if artifact is not None}
