"""``facediff train``: the image models, the classifiers, the expression network, and the talking face."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facediff_cli.options import DataOption, OutFolderOption
from facediff_cli.shared_options import takes
from facediff_cli.stage_command import load_given, load_init, load_input, role_of
from facediff_cli.training_command import TrainingOptions, train

app = typer.Typer()
_DEFAULT_PRESET = "mini"
_TALK_PRESET = "grid-mini"

PicturesOption = Annotated[
    Path, typer.Option("--data", metavar="MANIFEST", help="What `shard` wrote, or clips, whose frames are taken.")
]
FirstStageOption = Annotated[
    Path | None,
    typer.Option(
        "--first-stage", metavar="RUN", help="What `train autoencoder|vqgan` wrote; without it, pixels are denoised."
    ),
]

ClipsOption = Annotated[
    Path, typer.Option("--data", metavar="MANIFEST", help="The folder that `preprocess grid|mead|video` wrote.")
]
ClipsFirstStageOption = Annotated[
    Path, typer.Option("--first-stage", metavar="RUN", help="What `train vqgan` wrote from such clips.")
]
InitOption = Annotated[
    str | None,
    typer.Option("--init", metavar="RUN|MODEL", help="Start from the weights of this finished run or released model."),
]


@app.command()
@takes(TrainingOptions, config=_DEFAULT_PRESET)
def vqgan(
    how: TrainingOptions,
    data: PicturesOption,
    out: OutFolderOption,
    init: InitOption = None,
) -> None:
    """Train the first stage: the autoencoder between pictures and latents.

    Ctrl-C finishes the step and saves; `--resume` continues, and ends with the same model as an uninterrupted run.

    **Examples**

    * `facediff train vqgan --data runs/shards --out runs/vqgan`

    * `facediff train vqgan --data runs/shards --out runs/vqgan --config affectnet-128 --device cuda --resume`

    * `facediff train vqgan --data runs/grid --out runs/talk-vqgan --init runs/vqgan --config grid-mini`
    """
    from stages.common.clip_frames import PICTURE_ROLES
    from stages.common.manifest import load_artifact
    from stages.vqgan.run import VQGAN

    pictures = load_artifact(data)
    inputs = {role_of(pictures, PICTURE_ROLES): pictures, **load_init(init, "first_stage")}
    train(VQGAN, inputs, out, how)


@app.command()
@takes(TrainingOptions, config=_DEFAULT_PRESET)
def autoencoder(
    how: TrainingOptions,
    data: PicturesOption,
    out: OutFolderOption,
) -> None:
    """Train a first stage without a codebook: principal components of patches, and a small convolutional decoder.

    It keeps more of a picture than a small `train vqgan`, and trains in minutes. Give it to `train ldm --first-stage`.

    **Examples**

    * `facediff train autoencoder --data runs/shards --out runs/autoencoder`

    * `facediff train autoencoder --data runs/shards --out runs/ae-24 --set network.components=24`
    """
    from stages.autoencoder.run import AUTOENCODER
    from stages.common.clip_frames import PICTURE_ROLES
    from stages.common.manifest import load_artifact

    pictures = load_artifact(data)
    train(AUTOENCODER, {role_of(pictures, PICTURE_ROLES): pictures}, out, how)


@app.command()
@takes(TrainingOptions, config=_DEFAULT_PRESET)
def ldm(
    how: TrainingOptions,
    data: DataOption,
    out: OutFolderOption,
    first_stage: FirstStageOption = None,
    init: InitOption = None,
) -> None:
    """Train the emotion-conditional latent diffusion model on the latents of a first stage, or on pixels.

    Ctrl-C finishes the step and saves; `--resume` continues, and ends with the same model as an uninterrupted run.
    Several GPUs, or machines: `accelerate launch -m facediff_cli.main train ldm ...`.

    **Examples**

    * `facediff train ldm --data runs/shards --first-stage runs/autoencoder --out runs/ldm`

    * `facediff train ldm --data runs/shards --first-stage runs/vqgan --out runs/ldm --config affectnet-128 --resume`

    * `facediff train ldm --data runs/shards --first-stage runs/autoencoder --out runs/longer --init runs/ldm`

    * `facediff train ldm --data runs/shards --out runs/pixels --set network.latent_size=32`
    """
    from stages.ldm.run import LDM

    inputs = {"data": load_input(data, "shards")}
    inputs |= load_given(first_stage=(first_stage, "first_stage")) | load_init(init, "latent_diffusion")
    train(LDM, inputs, out, how)


@app.command()
@takes(TrainingOptions, config=_DEFAULT_PRESET)
def emotion(
    how: TrainingOptions,
    data: DataOption,
    out: OutFolderOption,
) -> None:
    """Train the emotion classifier that reads the source label of a photo.

    **Examples**

    * `facediff train emotion --data runs/shards --out runs/emotion`

    * `facediff train emotion --data runs/shards --out runs/emotion --set steps=2000`
    """
    from stages.emotion.run import EMOTION

    train(EMOTION, {"data": load_input(data, "shards")}, out, how)


@app.command()
@takes(TrainingOptions, config=_DEFAULT_PRESET)
def expression(
    how: TrainingOptions,
    data: DataOption,
    out: OutFolderOption,
) -> None:
    """Train the expression network: a face's points and coefficients, as a far larger teacher measured them.

    The faces must have been made by `preprocess ... --expression`.

    **Examples**

    * `facediff train expression --data runs/shards --out runs/expression`

    * `facediff train expression --data runs/shards --out runs/expression --set loop.steps=500`
    """
    from stages.expression.run import EXPRESSION

    train(EXPRESSION, {"data": load_input(data, "shards")}, out, how)


@app.command()
@takes(TrainingOptions, config=_DEFAULT_PRESET)
def classifier(
    how: TrainingOptions,
    data: DataOption,
    out: OutFolderOption,
    first_stage: FirstStageOption = None,
) -> None:
    """Train the classifier of noisy latents for classifier guidance, on the first stage of the model to guide.

    **Examples**

    * `facediff train classifier --data runs/shards --first-stage runs/autoencoder --out runs/classifier`

    * `facediff edit --emotion happy photo.jpg --model runs/model --classifier runs/classifier`
    """
    from stages.classifier.run import CLASSIFIER

    inputs = {"data": load_input(data, "shards")}
    inputs |= load_given(first_stage=(first_stage, "first_stage"))
    train(CLASSIFIER, inputs, out, how)


@app.command()
@takes(TrainingOptions, config=_DEFAULT_PRESET)
def upscaler(
    how: TrainingOptions,
    data: DataOption,
    out: OutFolderOption,
    first_stage: Annotated[
        str,
        typer.Option("--first-stage", metavar="RUN|MODEL", help="What `train autoencoder|vqgan` wrote, or a model."),
    ],
) -> None:
    """Train the network that enlarges mouths and eyes of edits, on pictures four times as large as its crops.

    **Examples**

    * `facediff preprocess folder portraits --labels people.csv --size 512 --out runs/large`

    * `facediff shard runs/large --out runs/large-shards`

    * `facediff train upscaler --data runs/large-shards --first-stage facediff-mini --out runs/upscaler`
    """
    from stages.upscaler.run import UPSCALER

    inputs = {"data": load_input(data, "shards"), **load_init(first_stage, "first_stage", "first_stage")}
    train(UPSCALER, inputs, out, how)


@app.command()
@takes(TrainingOptions, config=_TALK_PRESET)
def talk(
    how: TrainingOptions,
    data: ClipsOption,
    first_stage: ClipsFirstStageOption,
    out: OutFolderOption,
    init: InitOption = None,
) -> None:
    """Train the talking-face model: the lower half of a face, made anew to follow the sound.

    Ctrl-C finishes the step and saves; `--resume` continues, and ends with the same model as an uninterrupted run.

    **Examples**

    * `facediff train talk --data runs/grid --first-stage runs/talk-vqgan --out runs/talk`

    * `facediff train talk --data runs/mead --first-stage runs/mead-vqgan --out runs/mead-talk --config mead-128`

    * `facediff train talk --data runs/mead --first-stage runs/mead-vqgan --out runs/w4 --set network.window=4`
    """
    from stages.talk_training.run import TALK_TRAINING

    inputs = {"data": load_input(data, "clips"), "first_stage": load_input(first_stage, "first_stage")}
    inputs |= load_init(init, "talker")
    train(TALK_TRAINING, inputs, out, how)


@app.command()
@takes(TrainingOptions, config=_TALK_PRESET)
def lipreader(
    how: TrainingOptions,
    data: ClipsOption,
    out: OutFolderOption,
) -> None:
    """Train a lip reader on clips whose words are known: the expert of lip-reading finetuning, or its judge.

    **Examples**

    * `facediff train lipreader --data runs/grid --out runs/lipreader`

    * `facediff train lipreader --data runs/grid --out runs/judge --seed 1 --set network.dim=128`
    """
    from stages.lipreader.run import LIPREADER

    train(LIPREADER, {"data": load_input(data, "clips")}, out, how)
