"""A sentence spoken by eSpeak NG, from the package espeakng-loader: no weights, no network."""

from __future__ import annotations

import ctypes
import wave
from functools import cache
from pathlib import Path
from typing import Any

from stages.common.errors import ConfigError

_SYNCHRONOUS = 2
"""Sound goes to a callback, not to a loudspeaker, and no thread is started."""
_UTF8 = 1
_POSITION_IN_CHARACTERS = 1
_OK = 0
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


def write_speech(path: Path, text: str, voice: str = "en-us") -> None:
    """Write a mono 16-bit WAV. Raises ``ConfigError`` without the package, or for a voice that it does not have."""
    library, rate_hz = _load()
    pieces: list[bytes] = []

    def take(samples: int, count: int, _events: int) -> int:
        if count > 0:
            pieces.append(ctypes.string_at(samples, 2 * count))
        return 0

    # Held here, since the library keeps only its address.
    callback = _CALLBACK(take)
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(voice.encode()) != _OK:
        raise ConfigError(f"eSpeak NG has no voice {voice!r}")
    encoded = text.encode() + b"\0"
    library.espeak_Synth(encoded, len(encoded), 0, _POSITION_IN_CHARACTERS, 0, _UTF8, None, None)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(b"".join(pieces))


@cache
def _load() -> tuple[Any, int]:
    """The library, begun once in a process as it asks for, and its sample rate."""
    try:
        import espeakng_loader
    except ImportError as error:
        raise ConfigError("speaking a sentence needs espeakng-loader", "Install facediff[talk]") from error
    library = ctypes.cdll.LoadLibrary(espeakng_loader.get_library_path())
    data = str(Path(espeakng_loader.get_data_path()).parent).encode()
    rate_hz = int(library.espeak_Initialize(_SYNCHRONOUS, 0, data, 0))
    if rate_hz <= 0:
        raise ConfigError("eSpeak NG cannot be started", "Install espeakng-loader again")
    return library, rate_hz
