"""Where on which hub a model is, and what a hub's errors mean."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import (  # type: ignore[attr-defined]
    EntryNotFoundError,
    HfHubHTTPError,
    HTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from stages.common.errors import ConfigError, FacediffError

_REPO = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
_URL = re.compile(r"(https?://[^/]+)/([^/]+/[^/]+)(?:/tree/([^/]+))?/?")
_REFUSED = (401, 403)


@dataclass(frozen=True, slots=True)
class HubAddress:
    """A repository of models. ``token`` False keeps the user's token from a hub that it does not belong to."""

    endpoint: str
    repo: str
    revision: str | None = None
    token: Literal[False] | None = None

    @property
    def name(self) -> str:
        return self.repo.rpartition("/")[2]

    @property
    def api(self) -> HfApi:
        return HfApi(endpoint=self.endpoint, token=self.token)

    def __str__(self) -> str:
        return f"{self.endpoint}/{self.repo}"


def parse_address(text: str, revision: str | None = None) -> HubAddress:
    """``OWNER/NAME`` on the hub that ``$HF_ENDPOINT`` names, or a URL of one (``.../OWNER/NAME[/tree/REVISION]``).

    Raises ``ConfigError``.
    """
    home = os.environ.get("HF_ENDPOINT", constants.ENDPOINT).rstrip("/")
    if "://" not in text:
        return _checked(HubAddress(home, text, revision), text)
    match = _URL.fullmatch(text)
    if match is None:
        raise _unusable(text)
    endpoint, repo, branch = match.groups()
    return _checked(HubAddress(endpoint, repo, revision or branch, None if endpoint == home else False), text)


@contextmanager
def hub_errors(address: HubAddress, error_type: type[FacediffError]) -> Iterator[None]:
    """Say in one line what a hub refused; an error of this machine's files passes as it is."""
    with server_errors(str(address), error_type):
        try:
            yield
        except (RepositoryNotFoundError, RevisionNotFoundError, EntryNotFoundError) as error:
            at = f" at revision {address.revision}" if address.revision else ""
            raise error_type(
                f"there is no model {address}{at}", "Check the name; a private one needs `hf auth login` or HF_TOKEN"
            ) from error
        except HfHubHTTPError as error:
            if error.response.status_code not in _REFUSED:
                raise
            raise error_type(
                f"{address} answered with HTTP {error.response.status_code}",
                "Log in with `hf auth login`, or set HF_TOKEN",
            ) from error


@contextmanager
def server_errors(place: str, error_type: type[FacediffError]) -> Iterator[None]:
    """Say in one line why a server gave nothing; an error of this machine's files passes as it is."""
    try:
        yield
    except OfflineModeIsEnabled as error:
        raise error_type(
            f"cannot reach {place}: HF_HUB_OFFLINE is set", "Unset it, or work with what is here"
        ) from error
    except HfHubHTTPError as error:
        raise error_type(f"{place} answered with HTTP {error.response.status_code}", "Try again later") from error
    except (HTTPError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise error_type(f"cannot reach {place}: {_first_line(error)}", "Try again") from error
    except ValueError as error:
        raise error_type(f"{place} gave no usable answer: {_first_line(error)}") from error


def _checked(address: HubAddress, text: str) -> HubAddress:
    if not _REPO.fullmatch(address.repo):
        raise _unusable(text)
    return address


def _unusable(text: str) -> ConfigError:
    return ConfigError(f"{text!r} names no model on a hub", "Give OWNER/NAME or https://HUB/OWNER/NAME")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
