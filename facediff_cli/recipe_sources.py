"""The photos and clips that a recipe begins with, and the settings that depend on them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from facediff_cli.recipe import Photos, Recipe, Videos
from stages.common.errors import ConfigError

if TYPE_CHECKING:
    from stages.align.config import AlignConfig
    from stages.clips.config import ClipsConfig
    from stages.common.manifest import Artifact
    from stages.common.progress import Progress


def place_sources(recipe: Recipe, *, photos: Path | None, labels: Path | None, clips: Path | None) -> Recipe:
    """The recipe with the places that were given, over its own."""
    pictures = {name: path for name, path in {"path": photos, "labels": labels}.items() if path is not None}
    videos = {"path": clips} if clips is not None else {}
    update = {"photos": recipe.photos.model_copy(update=pictures), "clips": recipe.clips.model_copy(update=videos)}
    return recipe.model_copy(update=update)


def open_photos(
    photos: Photos, config: AlignConfig, progress: Progress, *, fetch: bool
) -> tuple[AlignConfig, dict[str, Artifact]]:
    """As `preprocess folder` and `preprocess affectnet` do. Raises ``ConfigError`` without a place."""
    from stages.align.config import settle_detector
    from stages.align.sources import read_affectnet, read_folder

    root = _require(photos.path, "photos")
    config, reason = settle_detector(config, fetch=fetch)
    progress.note(reason)
    source = read_affectnet(root) if photos.layout == "affectnet" else read_folder(root, photos.labels)
    return config, {"photos": source}


def open_clips(
    videos: Videos, config: ClipsConfig, progress: Progress, *, fetch: bool
) -> tuple[ClipsConfig, dict[str, Artifact]]:
    """As `preprocess video`, `grid` and `mead` do. Raises ``ConfigError`` without a place."""
    from stages.clips.config import settle
    from stages.clips.sources import read_grid, read_mead, read_videos

    root = _require(videos.path, "clips")
    if videos.layout == "mead":
        source = read_mead(root, videos.val_subjects)
    else:
        source = read_grid(root) if videos.layout == "grid" else read_videos(root, videos.transcripts)
    config, reason = settle(config, source, fetch=fetch)
    progress.note(reason)
    return config, {"clips": source}


def _require(path: Path | None, what: str) -> Path:
    if path is None:
        raise ConfigError(f"the recipe does not say where the {what} are", f"Give --{what} DIR")
    return path
