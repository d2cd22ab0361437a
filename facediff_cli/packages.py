"""Which of facediff's extras brings a package that is not installed."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, requires

_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9._-]+).*?(?:extra\s*==\s*[\"']([\w-]+)[\"'])?\s*$")


def how_to_install(module: str | None) -> str | None:
    """What to do about a module that could not be imported; None for one that no extra brings: that is a bug."""
    wanted = (module or "").partition(".")[0].lower()
    try:
        declared = requires("facediff") or []
    except PackageNotFoundError:
        return None
    for requirement in declared:
        match = _REQUIREMENT.match(requirement)
        if match and match[2] and match[1].lower().replace("-", "_") == wanted:
            return f"Install facediff[{match[2]}]"
    return None
