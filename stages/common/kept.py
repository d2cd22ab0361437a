"""What was computed, kept in the user's cache under all that it depends on."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.common.hashing import hash_json
from stages.common.manifest import write_atomically
from stages.common.weights import cache_folder

Arrays = Mapping[str, NDArray[Any]]


def keep(kind: str, content: Sequence[str], find: Callable[[], Arrays]) -> Arrays:
    """The arrays that ``find`` gives; not asked again for equal ``content``. Errors are not kept."""
    key = hash_json(list(content))
    path = cache_folder() / kind / key[:2] / f"{key}.npz"
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    except (OSError, ValueError, zipfile.BadZipFile):
        pass
    arrays = find()
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, stream.getvalue())
    return arrays
