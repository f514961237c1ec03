"""Keys of a gateway: each says which run, session and user it is for, signed with HMAC-SHA-256.

`sk-assay.PAYLOAD.MAC`, both in base64 for addresses. The gateway holds one secret and no list of
keys; who has a key can neither widen nor read beyond it.
"""

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from assay.errors import DataError
from assay.records.base import Record
from assay.records.live import Consent

PREFIX: Final = "sk-assay."
LONGEST: Final = 2048
"""Characters of a key, at most."""
FILE: Final = "secret"
"""Its name in the folder of a store."""


class Key(Record, frozen=True):
    """What a key allows."""

    run: str
    session: str | None = None
    """All requests with it are of the one session. None: sessions are told apart by other means."""
    user: str = ""
    consent: Consent | None = None
    """The most that may be done with its sessions. None: what the gateway does."""
    until: float | None = None
    """Seconds since 1970 at which it ends. None: it does not."""


def secret_of(folder: Path) -> bytes:
    """Returns the secret of a store's folder; it is made where there is none, for its owner alone.

    Raises:
        DataError: it cannot be read or made, or is too short.
    """
    path = folder / FILE
    try:
        with suppress(FileExistsError):
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as stream:
                stream.write(secrets.token_hex(32).encode())
        found = path.read_bytes().strip()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}; expected the secret of keys") from None
    if len(found) < 32:
        raise DataError(f"{path}: {len(found)} bytes; expected a secret of 32 at least: delete it")
    return found


def minted(secret: bytes, key: Key) -> str:
    """Returns the text of a key."""
    payload = _text(msgspec.json.encode(key))
    return f"{PREFIX}{payload}.{_mac(secret, payload)}"


def opened(secret: bytes, text: str, *, now: float) -> Key | None:
    """Returns what a text allows; None where it is no key of this secret, or its time is over."""
    if not text.startswith(PREFIX) or len(text) > LONGEST or not text.isascii():
        return None
    payload, _, mac = text.removeprefix(PREFIX).partition(".")
    if not hmac.compare_digest(mac, _mac(secret, payload)):
        return None
    try:
        key = msgspec.json.decode(base64.urlsafe_b64decode(payload + "=="), type=Key)
    except (msgspec.MsgspecError, UnicodeDecodeError, binascii.Error):
        return None
    return None if key.until is not None and key.until <= now else key


def _mac(secret: bytes, payload: str) -> str:
    return _text(hmac.new(secret, payload.encode(), hashlib.sha256).digest())


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
