"""Folders of pictures: what is in them, and how the results of a system are paired by name with their sources."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stages.common.emotions import parse_emotion
from stages.common.engine import describe_source
from stages.common.errors import BadInputError, ConfigError
from stages.common.hashing import hash_file, hash_listing
from stages.common.manifest import PARENTS_NAME, Artifact
from stages.common.media_files import PHOTO_SUFFIXES, MediaFolder, is_shown

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Pair:
    """A source and its edit, both relative to their folders; ``target`` None: not known."""

    key: str
    source: str
    edited: str
    target: str | None


@dataclass(frozen=True, slots=True)
class System:
    """A system and its pictures, all of which show ``target`` if it is given."""

    name: str
    root: Path
    target: str | None


def parse_named(text: str, option: str, form: str = "NAME=DIR") -> tuple[str, str]:
    """The name and what follows it, of what was given with ``option``. Raises ``ConfigError``."""
    name, separator, place = text.partition("=")
    if not separator or not name or not place:
        raise ConfigError(f"{option} {text!r} is not of the form {form}")
    return name, place


def parse_system(text: str, option: str) -> System:
    """``NAME=DIR`` or ``NAME=DIR:EMOTION``, as given with ``option``. What follows a colon is part of an existing DIR.

    Raises ``ConfigError``.
    """
    name, place = parse_named(text, option, "NAME=DIR[:EMOTION]")
    folder, colon, emotion = place.rpartition(":")
    if not colon or Path(place).is_dir():
        return System(name, Path(place), None)
    return System(name, Path(folder), parse_emotion(emotion))


def read_pictures(root: Path) -> Artifact:
    """A folder of pictures as an input: its identity covers names and contents. Raises ``BadInputError`` when empty."""
    paths = list_pictures(root)
    return describe_source(root, hash_listing((path, hash_file(root / path)) for path in paths.values()))


def list_pictures(root: Path) -> dict[str, str]:
    """As ``list_files``."""
    return list_files(root, PHOTO_SUFFIXES, "pictures")


def list_files(root: Path, suffixes: Collection[str], what: str) -> dict[str, str]:
    """Name without suffix to path, both POSIX and relative, of what has one of the ``suffixes`` below ``root``, sorted.

    Raises ``BadInputError`` for no folder, none in it, and two of one name.
    """
    if not root.is_dir():
        raise BadInputError(f"{root} is not a folder")
    found: dict[str, str] = {}
    for path in (file.relative_to(root) for file in MediaFolder(root, suffixes).files()):
        key = path.with_suffix("").as_posix()
        if key in found:
            raise BadInputError(f"{root} has both {found[key]} and {path.as_posix()}", "Keep one of them")
        found[key] = path.as_posix()
    if not found:
        raise BadInputError(f"{root} holds no {what}", "Known endings: " + ", ".join(sorted(suffixes)))
    return found


def by_emotion(root: Path) -> dict[str, Path]:
    """The folders of ``root`` that are named after emotions, by canonical name.

    Raises ``BadInputError`` for a folder with another name, and two of one emotion.
    """
    found: dict[str, Path] = {}
    folders = (path for path in root.iterdir() if path.is_dir() and is_shown(path.name))
    for folder in sorted(path for path in folders if path.name != PARENTS_NAME):
        try:
            emotion = parse_emotion(folder.name)
        except ConfigError as error:
            raise BadInputError(f"{folder} is not named after an emotion", error.hint) from error
        if emotion in found:
            raise BadInputError(f"{found[emotion]} and {folder} are both {emotion}", "Keep one of them")
        found[emotion] = folder
    return found


def pair_up(name: str, source: Path, edited: Path, target: str | None) -> list[Pair]:
    """The system's pictures beside their sources, by name; without ``target``, in one folder for each emotion, if any.

    Raises ``BadInputError`` unless each folder has exactly the sources' names.
    """
    sources = list_pictures(source)
    folders: dict[str | None, Path] = {}
    if target is None:
        folders.update(by_emotion(edited))
    folders = folders or {target: edited}
    pairs = []
    for emotion, folder in folders.items():
        results = list_pictures(folder)
        _require_same_names(name if emotion is None else f"{name} ({emotion})", sources, results)
        prefix = folder.relative_to(edited)
        pairs += [Pair(k, sources[k], (prefix / results[k]).as_posix(), emotion) for k in sources]
    return pairs


def _require_same_names(what: str, sources: Iterable[str], results: Iterable[str]) -> None:
    wanted, found = set(sources), set(results)
    lacking, extra = sorted(wanted - found), sorted(found - wanted)
    parts = []
    if lacking:
        parts.append(f"{len(lacking)} of {len(wanted)} sources have no edited picture ({name_some(lacking)})")
    if extra:
        parts.append(f"{len(extra)} edited picture(s) have no source ({name_some(extra)})")
    if parts:
        raise BadInputError(f"{what}: {'; '.join(parts)}", "Compare the same pictures for every system")


def name_some(names: Sequence[str]) -> str:
    """The first of them, for a message."""
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
