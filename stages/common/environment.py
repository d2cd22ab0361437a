"""What ran: package versions, device, and the commit of the code where it runs from a checkout."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from stages.common.manifest import CodeRef

_REPORTED_PACKAGES = (
    "torch",
    "diffusers",
    "numpy",
    "opencv-python",
    "pillow",
    "dlib-bin",
    "face-alignment",
    "piq",
    "torch-fidelity",
    "lpips",
    "av",
)


@cache
def describe_code() -> CodeRef:
    """facediff's version, and the git commit when it runs from a checkout (else null)."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return CodeRef(version=installed_version("facediff") or "unknown")
    return CodeRef(
        version=installed_version("facediff") or "unknown",
        commit=_git(root, "rev-parse", "HEAD") or None,
        dirty=bool(_git(root, "status", "--porcelain")),
    )


def describe_environment(device: str) -> dict[str, str]:
    versions = {name: installed_version(name) for name in _REPORTED_PACKAGES}
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": device,
        **{name: found for name, found in versions.items() if found},
    }


def installed_version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
