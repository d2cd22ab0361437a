"""Networks of other people that judge or guide ours: what they are for, whose they are, and whether a file is the one.

Nothing is downloaded here; ``stages.common.hub.fetch_expert`` does that when a user asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from stages.common.errors import ConfigError, MissingModelError
from stages.common.hashing import hash_file, hash_git_blob
from stages.common.torch_hub import checkpoints_folder
from stages.common.weights import cache_folder


@dataclass(frozen=True, slots=True)
class Expert:
    """``source`` is the file's address, or a page about it where nothing says which content is right.

    ``git_blob`` is the id that git gives the content; it stands in where nobody published a SHA-256.
    """

    name: str
    file_name: str
    used_for: str
    licence: str
    source: str
    sha256: str | None = None
    git_blob: str | None = None
    size_bytes: int | None = None

    @property
    def checksum(self) -> str | None:
        """Kind and value of what the content is known by, or None."""
        if self.sha256:
            return f"SHA-256 {self.sha256}"
        return f"git blob {self.git_blob}" if self.git_blob else None

    @property
    def way_to_get(self) -> str:
        """What to do where it is missing; only what can be checked is fetched."""
        if self.checksum:
            return f"Run `facediff models fetch {self.name}`"
        return f"Get it from {self.source} and put it into {weights_folder()}"


EXPERTS: Mapping[str, Expert] = {
    expert.name: expert
    for expert in (
        Expert(
            "inception",
            "weights-inception-2015-12-05-6726825d.pth",
            "fid, kid, is, rfid",
            "Apache-2.0 (TensorFlow's Inception v3, converted by torch-fidelity)",
            "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
            sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
            size_bytes=95628359,
        ),
        Expert(
            "vgg16",
            "vgg16-397923af.pth",
            "precision, recall",
            "BSD-3-Clause (torchvision)",
            "https://download.pytorch.org/models/vgg16-397923af.pth",
            sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
            size_bytes=553433881,
        ),
        Expert(
            "hsemotion",
            "enet_b2_7.onnx",
            "accuracy_hsemotion",
            "Apache-2.0; trained on AffectNet, whose own terms are for research",
            "https://github.com/sb-ai-lab/EmotiEffLib/raw/main/models/affectnet_emotions/onnx/enet_b2_7.onnx",
            git_blob="cdd6a6070b72ed2e59e15e810ae0ecdbcb0f7626",
        ),
        Expert(
            "cosface",
            "glint360k_cosface_r100.onnx",
            "csim",
            "non-commercial research only",
            "https://github.com/deepinsight/insightface/tree/master/recognition/arcface_torch",
        ),
        Expert(
            "syncnet",
            "syncnet_v2.model",
            "syncnet_offset, syncnet_confidence, syncnet_distance",
            "the code is MIT; the weights come without a licence of their own",
            "http://www.robots.ox.ac.uk/~vgg/software/lipsync/data/syncnet_v2.model",
            sha256="961e8696f888fce4f3f3a6c3d5b3267cf5b343100b238e79b2659bff2c605442",
            size_bytes=54573114,
        ),
        Expert(
            "ir-se50",
            "model_ir_se50.pth",
            "finetune clip --identity arcface",
            "MIT (InsightFace_Pytorch); trained on MS1M, which is for research",
            "https://github.com/xinntao/facexlib/releases/download/v0.1.0/recognition_arcface_ir_se50.pth",
            sha256="a035c768259b98ab1ce0e646312f48b9e1e218197a0f80ac6765e88f8b6ddf28",
        ),
        Expert(
            "face-landmarker",
            "face_landmarker.task",
            "preprocess --expression",
            "Apache-2.0 (MediaPipe)",
            "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/face_landmarker.task",
            sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
            size_bytes=3758596,
        ),
    )
}


def expert_named(name: str) -> Expert:
    """Raises ``ConfigError``."""
    if name not in EXPERTS:
        raise ConfigError(f"unknown expert {name!r}", f"Known: {', '.join(EXPERTS)}")
    return EXPERTS[name]


def weights_folder() -> Path:
    """Where the model store keeps them. May not exist."""
    return cache_folder() / "weights"


def find_expert(name: str) -> Path | None:
    """Its file in the model store, else in torch hub's cache, if it is there; it is not checked."""
    file_name = expert_named(name).file_name
    paths = (folder / file_name for folder in (weights_folder(), checkpoints_folder()))
    return next((path for path in paths if path.is_file()), None)


def require_expert(name: str) -> Path:
    """As ``find_expert``, with the content checked where its checksum is known. Raises ``MissingModelError``."""
    expert, path = expert_named(name), find_expert(name)
    if path is None:
        raise MissingModelError(
            f"{expert.file_name} is neither in the model store's weights nor in the torch hub cache", expert.way_to_get
        )
    found = checksum_of(expert, path)
    if expert.checksum not in {None, found}:
        raise MissingModelError(
            f"{path} has {found}, and should have {expert.checksum}", "Delete it, to fetch it again"
        )
    return path


def why_no_expert(name: str) -> str:
    """What is missing or wrong on this machine, in one line, or nothing."""
    try:
        require_expert(name)
    except MissingModelError as error:
        return str(error)
    return ""


def describe_expert(name: str) -> str:
    """One line for the results that it had a part in. Raises ``MissingModelError``."""
    path = require_expert(name)
    return f"{name}: {path.name}, SHA-256 {_hash_once(hash_file, path)}, licence: {EXPERTS[name].licence}"


def checksum_of(expert: Expert, path: Path) -> str:
    """Kind and value of a file's checksum, of the kind that is known for this expert."""
    if expert.sha256 is None and expert.git_blob is not None:
        return f"git blob {_hash_once(hash_git_blob, path)}"
    return f"SHA-256 {_hash_once(hash_file, path)}"


def _hash_once(hash_: Callable[[Path], str], path: Path) -> str:
    """Once in a process, as long as the file looks unchanged."""
    stat = path.stat()
    return _hash(hash_, path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=32)
def _hash(hash_: Callable[[Path], str], path: Path, _size: int, _mtime_ns: int) -> str:
    return hash_(path)
