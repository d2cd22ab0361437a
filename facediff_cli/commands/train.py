"""``facediff train``: the first stage, the latent diffusion model, the emotion classifier, and the talking face."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facediff_cli.options import (
    ConfigOption,
    DataOption,
    Device,
    DeviceOption,
    DryRunOption,
    JsonOption,
    OutFolderOption,
    ReadersOption,
    ResumeOption,
    SeedOption,
    SetOption,
    Tracker,
    TrackerOption,
)
from facediff_cli.stage_command import load_input, role_of, run_stage

app = typer.Typer()
_DEFAULT_PRESET = "mini"
_TALK_PRESET = "grid-mini"

PicturesOption = Annotated[
    Path, typer.Option("--data", metavar="MANIFEST", help="What `shard` wrote, or clips, whose frames are taken.")
]
FirstStageOption = Annotated[
    Path | None,
    typer.Option("--first-stage", metavar="RUN", help="What `train vqgan` wrote; without it, pixels are denoised."),
]

ClipsOption = Annotated[
    Path, typer.Option("--data", metavar="MANIFEST", help="The folder that `preprocess grid|mead|video` wrote.")
]
ClipsFirstStageOption = Annotated[
    Path, typer.Option("--first-stage", metavar="RUN", help="What `train vqgan` wrote from such clips.")
]
InitOption = Annotated[
    Path | None,
    typer.Option("--init", metavar="RUN", help="Start from the weights of this finished run, not from random ones."),
]


@app.command()
def vqgan(
    data: PicturesOption,
    out: OutFolderOption,
    init: InitOption = None,
    config: ConfigOption = _DEFAULT_PRESET,
    settings: SetOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = Device.AUTO,
    workers: ReadersOption = 2,
    tracker: TrackerOption = Tracker.TENSORBOARD,
    resume: ResumeOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train the first stage: the autoencoder between pictures and latents.

    Ctrl-C finishes the step and saves; `--resume` continues, and ends with the same model as an uninterrupted run.

    **Examples**

    * `facediff train vqgan --data runs/shards --out runs/vqgan`

    * `facediff train vqgan --data runs/shards --out runs/vqgan --config affectnet-128 --device cuda --resume`

    * `facediff train vqgan --data runs/grid --out runs/talk-vqgan --init runs/vqgan --config grid-mini`
    """
    from stages.common.config import resolve_config
    from stages.common.manifest import load_artifact
    from stages.vqgan.config import VqganConfig
    from stages.vqgan.run import PICTURE_ROLES, VQGAN

    pictures = load_artifact(data)
    inputs = {role_of(pictures, PICTURE_ROLES): pictures}
    if init is not None:
        inputs["init"] = load_input(init, "first_stage")
    run_stage(
        VQGAN,
        resolve_config(VqganConfig, "vqgan", config, settings or ()),
        inputs,
        out,
        seed=seed,
        resume=resume,
        device=device.value,
        workers=workers,
        tracker=tracker.value,
        dry_run=dry_run,
        as_json=as_json,
    )


@app.command()
def ldm(
    data: DataOption,
    out: OutFolderOption,
    first_stage: FirstStageOption = None,
    init: InitOption = None,
    config: ConfigOption = _DEFAULT_PRESET,
    settings: SetOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = Device.AUTO,
    workers: ReadersOption = 2,
    tracker: TrackerOption = Tracker.TENSORBOARD,
    resume: ResumeOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train the emotion-conditional latent diffusion model on the latents of a first stage, or on pixels.

    Ctrl-C finishes the step and saves; `--resume` continues, and ends with the same model as an uninterrupted run.
    Several GPUs, or machines: `accelerate launch -m facediff_cli.main train ldm ...`.

    **Examples**

    * `facediff train ldm --data runs/shards --first-stage runs/vqgan --out runs/ldm`

    * `facediff train ldm --data runs/shards --first-stage runs/vqgan --out runs/ldm --config affectnet-128 --resume`

    * `facediff train ldm --data runs/shards --first-stage runs/vqgan --out runs/longer --init runs/ldm`

    * `facediff train ldm --data runs/shards --out runs/pixels --set network.latent_size=32`
    """
    from stages.common.config import resolve_config
    from stages.ldm.config import LdmConfig
    from stages.ldm.run import LDM

    inputs = {"data": load_input(data, "shards")}
    if first_stage is not None:
        inputs["first_stage"] = load_input(first_stage, "first_stage")
    if init is not None:
        inputs["init"] = load_input(init, "latent_diffusion")
    run_stage(
        LDM,
        resolve_config(LdmConfig, "ldm", config, settings or ()),
        inputs,
        out,
        seed=seed,
        resume=resume,
        device=device.value,
        workers=workers,
        tracker=tracker.value,
        dry_run=dry_run,
        as_json=as_json,
    )


@app.command()
def emotion(
    data: DataOption,
    out: OutFolderOption,
    config: ConfigOption = _DEFAULT_PRESET,
    settings: SetOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = Device.AUTO,
    workers: ReadersOption = 2,
    tracker: TrackerOption = Tracker.TENSORBOARD,
    resume: ResumeOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train the emotion classifier that reads the source label of a photo.

    **Examples**

    * `facediff train emotion --data runs/shards --out runs/emotion`

    * `facediff train emotion --data runs/shards --out runs/emotion --set steps=2000`
    """
    from stages.common.config import resolve_config
    from stages.emotion.config import EmotionConfig
    from stages.emotion.run import EMOTION

    run_stage(
        EMOTION,
        resolve_config(EmotionConfig, "emotion", config, settings or ()),
        {"data": load_input(data, "shards")},
        out,
        seed=seed,
        resume=resume,
        device=device.value,
        workers=workers,
        tracker=tracker.value,
        dry_run=dry_run,
        as_json=as_json,
    )


@app.command()
def classifier(
    data: DataOption,
    out: OutFolderOption,
    first_stage: FirstStageOption = None,
    config: ConfigOption = _DEFAULT_PRESET,
    settings: SetOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = Device.AUTO,
    workers: ReadersOption = 2,
    tracker: TrackerOption = Tracker.TENSORBOARD,
    resume: ResumeOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train the classifier of noisy latents for classifier guidance, on the first stage of the model to guide.

    **Examples**

    * `facediff train classifier --data runs/shards --first-stage runs/vqgan --out runs/classifier`

    * `facediff edit --emotion happy photo.jpg --model runs/model --classifier runs/classifier`
    """
    from stages.classifier.config import ClassifierConfig
    from stages.classifier.run import CLASSIFIER
    from stages.common.config import resolve_config

    inputs = {"data": load_input(data, "shards")}
    if first_stage is not None:
        inputs["first_stage"] = load_input(first_stage, "first_stage")
    run_stage(
        CLASSIFIER,
        resolve_config(ClassifierConfig, "classifier", config, settings or ()),
        inputs,
        out,
        seed=seed,
        resume=resume,
        device=device.value,
        workers=workers,
        tracker=tracker.value,
        dry_run=dry_run,
        as_json=as_json,
    )


@app.command()
def talk(
    data: ClipsOption,
    first_stage: ClipsFirstStageOption,
    out: OutFolderOption,
    init: InitOption = None,
    config: ConfigOption = _TALK_PRESET,
    settings: SetOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = Device.AUTO,
    workers: ReadersOption = 2,
    tracker: TrackerOption = Tracker.TENSORBOARD,
    resume: ResumeOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train the talking-face model: the lower half of a face, made anew to follow the sound.

    Ctrl-C finishes the step and saves; `--resume` continues, and ends with the same model as an uninterrupted run.

    **Examples**

    * `facediff train talk --data runs/grid --first-stage runs/talk-vqgan --out runs/talk`

    * `facediff train talk --data runs/mead --first-stage runs/mead-vqgan --out runs/mead-talk --config mead-128`

    * `facediff train talk --data runs/mead --first-stage runs/mead-vqgan --out runs/w4 --set network.window=4`
    """
    from stages.common.config import resolve_config
    from stages.talk_training.config import TalkTrainingConfig
    from stages.talk_training.run import TALK_TRAINING

    inputs = {"data": load_input(data, "clips"), "first_stage": load_input(first_stage, "first_stage")}
    if init is not None:
        inputs["init"] = load_input(init, "talker")
    run_stage(
        TALK_TRAINING,
        resolve_config(TalkTrainingConfig, "talk_training", config, settings or ()),
        inputs,
        out,
        seed=seed,
        resume=resume,
        device=device.value,
        workers=workers,
        tracker=tracker.value,
        dry_run=dry_run,
        as_json=as_json,
    )


@app.command()
def lipreader(
    data: ClipsOption,
    out: OutFolderOption,
    config: ConfigOption = _TALK_PRESET,
    settings: SetOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = Device.AUTO,
    workers: ReadersOption = 2,
    tracker: TrackerOption = Tracker.TENSORBOARD,
    resume: ResumeOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a lip reader on clips whose words are known: the expert of lip-reading finetuning, or its judge.

    **Examples**

    * `facediff train lipreader --data runs/grid --out runs/lipreader`

    * `facediff train lipreader --data runs/grid --out runs/judge --seed 1 --set network.dim=128`
    """
    from stages.common.config import resolve_config
    from stages.lipreader.config import LipReaderTrainConfig
    from stages.lipreader.run import LIPREADER

    run_stage(
        LIPREADER,
        resolve_config(LipReaderTrainConfig, "lipreader", config, settings or ()),
        {"data": load_input(data, "clips")},
        out,
        seed=seed,
        resume=resume,
        device=device.value,
        workers=workers,
        tracker=tracker.value,
        dry_run=dry_run,
        as_json=as_json,
    )
