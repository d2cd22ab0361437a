"""Crops that show no face, or none that can be measured: what the confidence has to be low for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stages.expression.augment import Picture, Random, similarity, warp

_TILES = 4


def spoil(face: Picture, size_px: int, random: Random) -> Picture:
    """A crop of ``size_px`` made of a face: misplaced, its surroundings, scrambled, covered, or mere texture."""
    side = face.shape[0]
    kind = random.integers(5)
    if kind == 0:
        return warp(face, _misplaced(side, size_px, random), size_px)
    if kind == 1:
        return warp(face, _corner(side, size_px, random), size_px)
    angle, scale = random.uniform(-0.3, 0.3), random.uniform(0.85, 1.2)
    whole = warp(face, similarity(side, size_px, angle, scale, _NO_SHIFT), size_px)
    if kind == 2:
        return _scramble(whole, random)
    return _cover_most(whole, random) if kind == 3 else _texture(whole, random)


_NO_SHIFT = np.zeros(2)


def _misplaced(side_px: int, size_px: int, random: Random) -> NDArray[np.float64]:
    """Turned over, far too small or large, or mostly outside."""
    kind = random.integers(3)
    if kind == 0:
        angle = random.choice((-1, 1)) * random.uniform(np.pi / 3, np.pi)
        return similarity(side_px, size_px, angle, random.uniform(0.8, 1.3), _NO_SHIFT)
    if kind == 1:
        scale = random.uniform(2.2, 4) if random.random() < 0.5 else random.uniform(0.2, 0.45)
        return similarity(side_px, size_px, random.uniform(-0.5, 0.5), scale, random.uniform(-0.3, 0.3, 2))
    direction, far = random.uniform(0, 2 * np.pi), random.uniform(0.45, 0.8)
    shift = far * np.array([np.cos(direction), np.sin(direction)])
    return similarity(side_px, size_px, 0.0, random.uniform(0.9, 1.6), shift)


def _corner(side_px: int, size_px: int, random: Random) -> NDArray[np.float64]:
    """One of the crop's corners enlarged: hair, clothes, what is behind."""
    scale, corner = random.uniform(3, 6), random.choice((-1, 1), 2) * random.uniform(0.4, 0.5, 2)
    return similarity(side_px, size_px, 0.0, scale, -scale * corner)


def _scramble(face: Picture, random: Random) -> Picture:
    """Its tiles in another order."""
    tile = face.shape[0] // _TILES
    tiles = face[: tile * _TILES, : tile * _TILES].reshape(_TILES, tile, _TILES, tile, 3).swapaxes(1, 2)
    mixed = random.permutation(tiles.reshape(-1, tile, tile, 3)).reshape(_TILES, _TILES, tile, tile, 3)
    scrambled = face.copy()
    scrambled[: tile * _TILES, : tile * _TILES] = mixed.swapaxes(1, 2).reshape(tile * _TILES, tile * _TILES, 3)
    return scrambled


def _cover_most(face: Picture, random: Random) -> Picture:
    """All but a strip at one side covered by one colour or by noise."""
    covered, size = face.copy(), face.shape[0]
    height, width = (round(size * share) for share in random.uniform(0.8, 1.0, 2))
    top, left = random.integers(0, size - height + 1), random.integers(0, size - width + 1)
    shape = (height, width, 3) if random.random() < 0.5 else (3,)
    covered[top : top + height, left : left + width] = random.integers(0, 256, shape)
    return covered


def _texture(face: Picture, random: Random) -> Picture:
    """The face's colours without its form: its rows or columns rolled by different amounts, or noise alone."""
    size = face.shape[0]
    if random.random() < 0.3:
        return np.asarray(random.integers(0, 256, face.shape), np.uint8)
    rolls = random.integers(0, size, (size,))
    rows, columns = np.arange(size)[:, None], (np.arange(size)[None] + rolls[:, None]) % size
    rolled = face[rows, columns]
    return np.ascontiguousarray(rolled.swapaxes(0, 1) if random.random() < 0.5 else rolled)
