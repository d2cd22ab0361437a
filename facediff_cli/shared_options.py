"""Options that several commands take together, declared once as the fields of a dataclass."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, get_type_hints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def takes(options: type[DataclassInstance], **defaults: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of a dataclass, behind its own and in place of its first parameter.

    The fields are annotated as Typer wants it; ``defaults`` are this command's, where they differ.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(command, include_extras=True)
        shared, *own = inspect.signature(command).parameters.values()
        parameters = [parameter.replace(annotation=hints[parameter.name]) for parameter in own]
        types, kind = get_type_hints(options, include_extras=True), inspect.Parameter.KEYWORD_ONLY
        for option in fields(options):
            default = defaults.get(option.name, option.default)
            parameters.append(inspect.Parameter(option.name, kind, default=default, annotation=types[option.name]))

        @functools.wraps(command)
        def run(**arguments: Any) -> None:
            own_arguments = {parameter.name: arguments.pop(parameter.name) for parameter in own}
            command(**{shared.name: options(**arguments)}, **own_arguments)

        # Typer reads both.
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate
