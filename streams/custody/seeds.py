"""Keys of people and services: a file with the 64 hexadecimal digits of an Ed25519 seed, for its owner's eyes alone."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

from m1cep.custody.frost.hidden import Secret
from streams import durable
from streams.custody.mail import Pen
from streams.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

_SEED = re.compile(r"[0-9a-f]{64}\n?")
_OTHERS = 0o077


def make_seed(file: Path) -> bytes:
    """Make a key; its public key, 32 bytes.

    Raises:
        UsageError: the file is there already, or cannot be written.
    """
    seed = secrets.token_bytes(32)
    try:
        durable.create(file, seed.hex().encode() + b"\n")
        durable.sync_folder(file.absolute().parent)
    except OSError as error:
        raise UsageError(f"cannot make the key {file}: {error.strerror}", "give a file that is not there yet") from None
    return Pen("nobody", Secret(seed)).verify_key


def load_pen(name: str, file: Path) -> Pen:
    """Whoever has this key.

    Args:
        name: in the roster or in the policy.
        file: see above.

    Raises:
        UsageError: it cannot be read, others can read it, or it is no such file. No error shows what is in it.
    """
    try:
        mode, text = file.stat().st_mode, file.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the key {file} of {name}: {type(error).__name__}") from None
    if mode & _OTHERS:
        raise UsageError(f"others can read the key {file} of {name}", f"chmod 600 {file}")
    if not _SEED.fullmatch(text):
        raise UsageError(
            f"{file} is no key: expected 64 hexadecimal digits, got {len(text)} characters",
            "m1cep custody key FILE makes one",
        )
    return Pen(name, Secret(bytes.fromhex(text)))
