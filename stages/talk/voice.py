"""A sentence spoken by eSpeak NG, from the package espeakng-loader: no weights, no network."""

from __future__ import annotations

import ctypes
import wave
from pathlib import Path

from stages.common.errors import ConfigError

_RETRIEVAL = 1
"""Sound goes to a callback, not to a loudspeaker."""
_UTF8 = 1
_POSITION_IN_CHARACTERS = 1
_OK = 0


def write_speech(path: Path, text: str, voice: str = "en-us") -> None:
    """Write a mono 16-bit WAV. Raises ``ConfigError`` without the package, or for a voice that it does not have."""
    try:
        import espeakng_loader
    except ImportError as error:
        raise ConfigError("speaking a sentence needs espeakng-loader", "Install facediff[talk]") from error
    library = ctypes.cdll.LoadLibrary(espeakng_loader.get_library_path())
    pieces: list[bytes] = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    def take(samples: ctypes._Pointer[ctypes.c_short], count: int, _events: int) -> int:
        if count > 0:
            pieces.append(ctypes.string_at(samples, 2 * count))
        return 0

    data = str(Path(espeakng_loader.get_data_path()).parent).encode()
    rate_hz = library.espeak_Initialize(_RETRIEVAL, 0, data, 0)
    library.espeak_SetSynthCallback(take)
    if rate_hz <= 0 or library.espeak_SetVoiceByName(voice.encode()) != _OK:
        raise ConfigError(f"eSpeak NG has no voice {voice!r}")
    encoded = text.encode() + b"\0"
    library.espeak_Synth(encoded, len(encoded), 0, _POSITION_IN_CHARACTERS, 0, _UTF8, None, None)
    library.espeak_Synchronize()
    library.espeak_Terminate()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(b"".join(pieces))
