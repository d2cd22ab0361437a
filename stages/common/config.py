"""Configuration: defaults < preset < file < ``--set a.b=value``, frozen pydantic models that forbid unknown fields."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from stages.common.errors import ConfigError


class StageConfig(BaseModel):
    """Base of every stage's configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")


ConfigT = TypeVar("ConfigT", bound=StageConfig)


def preset_names() -> list[str]:
    return shipped_names("presets")


def shipped_names(folder: str) -> list[str]:
    """The YAML files that come along in ``stages/<folder>``, without their suffix."""
    entries = resources.files("stages").joinpath(folder).iterdir()
    return sorted(entry.name.removesuffix(".yaml") for entry in entries if entry.name.endswith(".yaml"))


def load_yaml(name_or_path: str, *, folder: str, noun: str) -> Any:
    """What a YAML file holds: one of ``stages/<folder>`` by name, or any by path.

    Raises ``ConfigError``, in which a file of this folder is called ``noun``.
    """
    names = shipped_names(folder)
    if name_or_path in names:
        text = resources.files("stages").joinpath(folder).joinpath(f"{name_or_path}.yaml").read_text("utf-8")
    elif Path(name_or_path).is_file():
        text = Path(name_or_path).read_text("utf-8")
    else:
        raise ConfigError(f"no {noun} or file {name_or_path!r}", f"{noun.capitalize()}s: " + ", ".join(names))
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{name_or_path} is not valid YAML: {' '.join(str(error).split())}") from error


def load_config_file(name_or_path: str) -> dict[str, Any]:
    """A preset by name, or a YAML file by path: a mapping from stage name to that stage's fields."""
    content = load_yaml(name_or_path, folder="presets", noun="preset") or {}
    if not isinstance(content, dict):
        raise ConfigError(f"{name_or_path} must map stage names to settings")
    return content


def resolve_config(
    config_type: type[ConfigT], section: str, source: str | None = None, overrides: Sequence[str] = ()
) -> ConfigT:
    """Merge the layers for one stage. Raises ``ConfigError`` naming the first wrong field and the nearest name."""
    fields: dict[str, Any] = {}
    if source is not None:
        fields = dict(load_config_file(source).get(section) or {})
    for override in overrides:
        set_field(fields, override)
    return make_config(config_type, fields)


def make_config(config_type: type[ConfigT], fields: Mapping[str, Any]) -> ConfigT:
    """Settings from their fields. Raises ``ConfigError`` naming the first wrong field and the nearest name."""
    try:
        return config_type.model_validate(fields)
    except ValidationError as error:
        raise ConfigError(_first_problem(error, config_type)) from error


def set_field(fields: dict[str, Any], override: str) -> None:
    """Put the value of ``a.b=value``, read as YAML, into nested ``fields``. Raises ``ConfigError``."""
    dotted, separator, text = override.partition("=")
    if not separator or not dotted:
        raise ConfigError(f"--set {override!r} is not of the form a.b=value")
    *parents, leaf = dotted.split(".")
    for name in parents:
        child = fields.get(name)
        fields[name] = dict(child) if isinstance(child, Mapping) else {}
        fields = fields[name]
    try:
        fields[leaf] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override!r}: the value is not valid YAML") from error


def _first_problem(error: ValidationError, config_type: type[BaseModel]) -> str:
    problem = error.errors()[0]
    name = ".".join(str(part) for part in problem["loc"])
    near = difflib.get_close_matches(name, list(config_type.model_fields), n=1)
    suggestion = f"; did you mean {near[0]}?" if near and problem["type"] == "extra_forbidden" else ""
    message = problem["msg"].removeprefix("Value error, ")
    return f"setting {name}: {message.lower()}{suggestion}" if name else message
