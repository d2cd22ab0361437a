"""The pictures of a study: found by system, emotion and face, and written so that nothing tells whose they are."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stages.common.errors import BadInputError
from stages.common.folders import list_pictures, pair_up
from stages.common.images import read_rgb
from stages.common.manifest import Artifact, write_atomically

SOURCE = "source"
"""Role of the folder of unedited pictures, which is also a system in pairs; any other is a system's name."""
_WRECK_TILES = 5


@dataclass(frozen=True, slots=True)
class Pictures:
    """``paths`` by (system, emotion, face); every system has all of ``targets`` and ``faces``.

    The sources have the emotion None, as have all pictures where none is known.
    """

    paths: Mapping[tuple[str, str | None, str], Path]
    targets: tuple[str | None, ...]
    faces: tuple[str, ...]

    def path(self, system: str, target: str | None, face: str) -> Path:
        return self.paths[system, None if system == SOURCE else target, face]


def match_pictures(inputs: Mapping[str, Artifact], targets: Mapping[str, str | None]) -> Pictures:
    """Pair every system's pictures with the sources. Raises ``BadInputError`` unless all show the same."""
    source = inputs[SOURCE].root
    sources = list_pictures(source)
    paths: dict[tuple[str, str | None, str], Path] = {(SOURCE, None, k): source / p for k, p in sources.items()}
    shown: dict[str, tuple[str | None, ...]] = {}
    for name, target in targets.items():
        pairs = pair_up(name, source, inputs[name].root, target)
        paths |= {(name, pair.target, pair.key): inputs[name].root / pair.edited for pair in pairs}
        shown[name] = tuple(dict.fromkeys(pair.target for pair in pairs))
    first = next(iter(shown))
    for name, found in shown.items():
        if found != shown[first]:
            raise BadInputError(
                f"{first} shows {_say(shown[first])}, but {name} shows {_say(found)}",
                "Ask about the same emotions of every system",
            )
    return Pictures(paths, shown[first], tuple(sources))


def _say(targets: tuple[str | None, ...]) -> str:
    return ", ".join(target or "no known emotion" for target in targets)


@dataclass(slots=True)
class PictureWriter:
    """Writes pictures into ``folder`` under the hash of their content: pixels alone, without metadata, all as PNG."""

    folder: Path
    pictures: Pictures
    _names: dict[Path, str] = field(default_factory=dict)
    _wrecks: dict[str, str] = field(default_factory=dict)

    def show(self, system: str, target: str | None, face: str) -> str:
        """The name of a picture's file. Raises ``BadInputError`` when it is damaged, or not of its source's size."""
        path, source = self.pictures.path(system, target, face), self.pictures.path(SOURCE, None, face)
        if path not in self._names:
            picture, original = read_rgb(path), read_rgb(source)
            if picture.shape != original.shape:
                sizes = [f"{p.shape[1]} x {p.shape[0]}" for p in (original, picture)]
                raise BadInputError(f"{source} is {sizes[0]}, but {path} is {sizes[1]}", "Bring both to one size first")
            self._names[path] = self._write(picture)
        return self._names[path]

    def show_wreck(self, face: str) -> str:
        """The name of a source's picture that nobody can take for real."""
        if face not in self._wrecks:
            self._wrecks[face] = self._write(wreck(read_rgb(self.pictures.path(SOURCE, None, face))))
        return self._wrecks[face]

    @property
    def count(self) -> int:
        return len({*self._names.values(), *self._wrecks.values()})

    def _write(self, picture_HWC: NDArray[np.uint8]) -> str:
        stream = io.BytesIO()
        Image.fromarray(picture_HWC).save(stream, "PNG")
        name = f"{hashlib.sha256(stream.getvalue()).hexdigest()[:20]}.png"
        write_atomically(self.folder / name, stream.getvalue())
        return name


def wreck(picture_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Tiles in another order and in false colours; the border that does not divide into tiles stays."""
    height, width = picture_HWC.shape[0] // _WRECK_TILES, picture_HWC.shape[1] // _WRECK_TILES
    places = [(row * height, column * width) for row in range(_WRECK_TILES) for column in range(_WRECK_TILES)]
    wrecked = picture_HWC.copy()
    for number, (top, left) in enumerate(places):
        from_top, from_left = places[(number * 7 + 11) % len(places)]  # 7 and 25 have no common factor
        tile = picture_HWC[from_top : from_top + height, from_left : from_left + width, ::-1]
        wrecked[top : top + height, left : left + width] = tile
    return wrecked
