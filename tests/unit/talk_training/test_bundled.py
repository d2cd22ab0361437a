"""The talker that comes with facediff is whole and small, and its parts fit together."""

from stages.common.checkpoint import load_first_stage, require_latents
from stages.common.manifest import ArtifactKind, load_parents
from stages.common.talker_checkpoint import load_talker, load_talker_info
from stages.common.weights import resolve_model


def test_the_bundled_talker_is_as_it_was_written_and_fits_its_first_stage() -> None:
    artifact = resolve_model("facediff-talk-mini")
    assert artifact.manifest.kind is ArtifactKind.TALKER
    assert sum(output.bytes for output in artifact.manifest.outputs) <= 32 * 2**20
    config = load_talker(artifact.root).config
    require_latents(load_first_stage(artifact.root), config.latent_channels, config.latent_size)
    assert (config.audio, load_talker_info(artifact.root).fps) == ("mel", 25)


def test_its_ancestry_reaches_the_videos() -> None:
    parents = load_parents(resolve_model("facediff-talk-mini")).values()
    assert {"talk_training", "vqgan", "clips"} <= {parent.stage.name for parent in parents}
