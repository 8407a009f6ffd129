"""One encrypted file, as a signer keeps it: a passphrase, bytes, and one process at a time.

    M1CEP signer keyfile 1                                          a line: what it is, and the version
    {"ops":3,"memory":268435456,"salt":"<hex>","digest":"<hex>"}    a line
    <nonce and ciphertext: XSalsa20-Poly1305 (libsodium's secretbox) under Argon2id of the passphrase>

The digest is of the ciphertext: with it a file that is damaged is told from a passphrase that is wrong. Whoever can write the
file can put an older one in its place; of that nothing here can tell.
"""

from __future__ import annotations

import fcntl
import os
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec
from nacl import pwhash
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from m1cep.custody.frost.hidden import Secret
from streams.errors import ShellError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

VERSION = 1
_TITLE = b"M1CEP signer keyfile "
_FIRST_LINE = _TITLE + b"%d\n" % VERSION
_MOST_BYTES = 64 * 1024 * 1024


class Strength(NamedTuple):
    """How much a guess of the passphrase costs: passes over so much memory.

    Attributes:
        ops: passes.
        memory: bytes.
    """

    ops: int
    memory: int


#: A third of a second and 256 MiB a guess on a small server.
STRONG = Strength(pwhash.argon2id.OPSLIMIT_MODERATE, pwhash.argon2id.MEMLIMIT_MODERATE)
#: For tests: no protection for a passphrase that can be guessed.
WEAK = Strength(pwhash.argon2id.OPSLIMIT_MIN, pwhash.argon2id.MEMLIMIT_MIN)


class Header(msgspec.Struct, forbid_unknown_fields=True):
    """How it is encrypted."""

    # Bounded: a file of somebody else must not take all memory before it is refused.
    ops: Annotated[int, msgspec.Meta(ge=1, le=20)]
    memory: Annotated[int, msgspec.Meta(ge=8192, le=4 * 1024**3)]
    salt: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
    digest: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]


def sealed(plain: bytes, key: Secret, salt: bytes, strength: Strength) -> bytes:
    """The file with these bytes in it, under a key of ``derived``; with a fresh random nonce."""
    box = bytes(SecretBox(key.reveal()).encrypt(plain))
    header = Header(*strength, salt.hex(), sha256(box).hexdigest())
    return _FIRST_LINE + msgspec.json.encode(header) + b"\n" + box


def opened(path: Path, box: bytes, key: Secret) -> bytes:
    """What is in it.

    Raises:
        UsageError: the passphrase is wrong.
    """
    try:
        return SecretBox(key.reveal()).decrypt(box)
    except CryptoError:
        raise UsageError(f"{path}: the passphrase is wrong (or somebody has changed the file and its digest)") from None


def locked(path: Path) -> int:
    """A lock on a file beside it, for the file itself is replaced with every change; it ends with the process."""
    beside = path.with_name(f".{path.name}.lock")
    try:
        lock = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UsageError(f"{beside} cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise UsageError(f"{path} is in use by another process", "end it first") from None
    return lock


def derived(passphrase: str, salt: bytes, strength: Strength) -> Secret:
    """The key of a passphrase. Raises UsageError when that is empty."""
    if not passphrase:
        raise UsageError("the passphrase of a keyfile must not be empty")
    key = pwhash.argon2id.kdf(SecretBox.KEY_SIZE, passphrase.encode(), salt, strength.ops, strength.memory)
    return Secret(key)


def read(path: Path) -> tuple[Header, bytes]:
    """The parts of the file, told apart as far as that is possible without the passphrase.

    Raises:
        UsageError: it cannot be read, others can, or it is none.
        ShellError: it is damaged.
    """
    try:
        if path.stat().st_mode & 0o077:
            raise UsageError(f"{path} can be read or written by others", f"chmod 600 {path}")
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    title, _, rest = data.partition(b"\n")
    if not title.startswith(_TITLE) or len(data) > _MOST_BYTES:
        raise UsageError(f"{path} is no keyfile of a signer", "make one: m1cep custody identity")
    if title + b"\n" != _FIRST_LINE:
        raise UsageError(f"{path} is a keyfile of another version than {VERSION}: use the M1CEP that wrote it")
    line, _, box = rest.partition(b"\n")
    try:
        header = msgspec.json.decode(line, type=Header)
    except (msgspec.DecodeError, UnicodeDecodeError):
        header = None
    if header is None or sha256(box).hexdigest() != header.digest:
        raise ShellError(f"{path} is damaged: cut off or changed", "put back a copy of it, or restore the shares")
    return header, box
