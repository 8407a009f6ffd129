"""What a signer keeps, in one encrypted file: its own key, its shares of the vaults' keys, shares that wait for a ceremony's end.

    M1CEP signer keyfile 1                                          a line: what it is, and the version
    {"ops":3,"memory":268435456,"salt":"<hex>","digest":"<hex>"}    a line
    <nonce and ciphertext: XSalsa20-Poly1305 (libsodium's secretbox) under Argon2id of the passphrase>

The digest is of the ciphertext: with it a file that is damaged is told from a passphrase that is wrong. Whoever can write the
file can put an older one in its place; of that nothing here can tell.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec
from nacl import pwhash
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from m1cep.custody.frost import ED25519, SECP256K1, TAPROOT
from m1cep.custody.frost.ceremony import Pending
from m1cep.custody.frost.envelope import Identity
from m1cep.custody.frost.hidden import Hidden, Secret
from m1cep.custody.frost.keys import KeyShare
from m1cep.errors import CustodyError
from streams import durable
from streams.errors import ShellError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from m1cep.custody.frost.suite import Suite

VERSION = 1
SUITES: dict[str, Suite] = {suite.name: suite for suite in (ED25519, SECP256K1, TAPROOT)}
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


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    # Bounded: a file of somebody else must not take all memory before it is refused.
    ops: Annotated[int, msgspec.Meta(ge=1, le=20)]
    memory: Annotated[int, msgspec.Meta(ge=8192, le=4 * 1024**3)]
    salt: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
    digest: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]


class _Share(msgspec.Struct, forbid_unknown_fields=True):
    suite: str
    share: bytes
    ceremony: str
    since_ms: int


class _Waiting(msgspec.Struct, forbid_unknown_fields=True):
    vault: str
    suite: str
    pending: bytes


class _Content(msgspec.Struct, forbid_unknown_fields=True):
    number: int
    seed: bytes
    shares: dict[str, _Share]
    waiting: dict[str, _Waiting]


@dataclass(frozen=True, slots=True, repr=False)
class Held(Hidden):
    """A share in use.

    Attributes:
        share: of the vault's key.
        ceremony: its name, in hexadecimal; empty: restored from a backup.
        since_ms: what was asked for before then was perhaps signed by others, or by this signer before it lost its memory.
    """

    share: KeyShare
    ceremony: str
    since_ms: int


@dataclass(frozen=True, slots=True, repr=False)
class Waiting(Hidden):
    """A share that waits for everybody's confirmation.

    Attributes:
        vault: which it is for.
        pending: the share.
    """

    vault: str
    pending: Pending


class Keyfile(Hidden):
    """The open file. Every change is on the disk when the method returns. One process at a time has it open.

    Made by :meth:`create` and :meth:`open`.

    Attributes:
        path: where it is.
        number: of the signer.
    """

    __slots__ = ("_key", "_lock", "_salt", "_seed", "_strength", "held", "number", "path", "waiting")

    def __init__(self, path: Path, number: int, seed: Secret, key: Secret, salt: bytes, strength: Strength) -> None:
        self.path, self.number, self._seed = path, number, seed
        self._key, self._salt, self._strength = key, salt, strength
        self._lock: int | None = None
        #: By vault. To look at, not to change.
        self.held: dict[str, Held] = {}
        #: By ceremony. To look at, not to change.
        self.waiting: dict[str, Waiting] = {}

    @classmethod
    def create(cls, path: Path, number: int, passphrase: str, strength: Strength = STRONG) -> Keyfile:
        """A new signer with a key of its own and no share.

        Args:
            path: must not be there yet.
            number: of the signer, as in the roster.
            passphrase: that will open it.
            strength: what a guess of the passphrase costs.

        Raises:
            UsageError: the file is there, or cannot be written; the passphrase is empty; no signer has this number.
        """
        if not 1 <= number <= 255:
            raise UsageError(f"expected a signer's number from 1 to 255, got {number}")
        if path.exists():
            raise UsageError(f"{path} is there already", "a keyfile is never overwritten: choose another name")
        salt = secrets.token_bytes(pwhash.argon2id.SALTBYTES)
        key = _derived(passphrase, salt, strength)
        file = cls(path, number, Secret(secrets.token_bytes(32)), key, salt, strength)
        file._lock = _locked(path)
        file._save()
        return file

    @classmethod
    def open(cls, path: Path, passphrase: str, *, to_read: bool = False) -> Keyfile:
        """The file, decrypted and checked.

        Args:
            path: where it is.
            passphrase: that it was made with.
            to_read: another process may have it open.

        Raises:
            UsageError: it cannot be read, is no keyfile, or not of this version; the passphrase is wrong; it is in use.
            ShellError: it is damaged.
        """
        lock = None if to_read or not path.exists() else _locked(path)
        try:
            return cls._opened(path, passphrase, lock)
        except BaseException:
            if lock is not None:
                os.close(lock)
            raise

    @classmethod
    def _opened(cls, path: Path, passphrase: str, lock: int | None) -> Keyfile:
        header, box = _read(path)
        strength, salt = Strength(header.ops, header.memory), bytes.fromhex(header.salt)
        key = _derived(passphrase, salt, strength)
        try:
            plain = SecretBox(key.reveal()).decrypt(box)
        except CryptoError:
            raise UsageError(
                f"{path}: the passphrase is wrong (or somebody has changed the file and its digest)"
            ) from None
        try:
            content = msgspec.msgpack.decode(plain, type=_Content)
            file = cls(path, content.number, Secret(content.seed), key, salt, strength)
            file._fill(content)
            file._lock = lock
        except (msgspec.MsgspecError, CustodyError, KeyError) as error:
            # What msgspec says may quote a value: it is a secret.
            reason = str(error) if isinstance(error, CustodyError) else type(error).__name__
            raise ShellError(f"{path}: what is encrypted in it is not what a keyfile holds ({reason})") from None
        return file

    def close(self) -> None:
        """Let other processes open it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # -- who it is

    @property
    def seed(self) -> Secret:
        """Of the signer's own Ed25519 key."""
        return self._seed

    def identity(self) -> Identity:
        """The same key, for ceremonies; its ``verify_key`` stands in the roster."""
        return Identity(self.number, self._seed)

    # -- shares

    def keep_waiting(self, ceremony: str, vault: str, pending: Pending) -> None:
        """Store a share before it is confirmed."""
        self.waiting[ceremony] = Waiting(vault, pending)
        self._save()

    def activate(self, ceremony: str, share: KeyShare, since_ms: int) -> None:
        """Make the share that waited the vault's; the one before, and whatever else waits for this vault, is deleted."""
        self._put(self.waiting[ceremony].vault, Held(share, ceremony, since_ms))

    def restore(self, vault: str, share: KeyShare, since_ms: int) -> None:
        """Take in a share from a backup.

        Raises:
            CustodyError: it is another signer's, of another key than the share that is here, or of an epoch before its.
        """
        if share.identifier != self.number:
            raise CustodyError(f"the share is of signer {share.identifier}, this keyfile is of signer {self.number}")
        if (known := self.held.get(vault)) is not None:
            if known.share.public.group != share.public.group:
                raise CustodyError(f"the share is of another key than the one of vault {vault} in this keyfile")
            if known.share.public.epoch > share.public.epoch:
                here, came = known.share.public.epoch, share.public.epoch
                raise CustodyError(f"the share is of epoch {came}, the one in this keyfile is of epoch {here}: keep it")
        self._put(vault, Held(share, "", since_ms))

    def drop_waiting(self, ceremony: str) -> None:
        """Delete a share that nobody will confirm any more."""
        if self.waiting.pop(ceremony, None) is not None:
            self._save()

    def memory_lost(self, now_ms: int) -> None:
        """This signer does not know what it has signed until now."""
        self.held = {vault: replace(one, since_ms=now_ms) for vault, one in self.held.items()}
        self._save()

    def give_up(self, vault: str) -> None:
        """Delete the vault's share, and whatever waits for it: others hold its key now."""
        self._clear_waiting(vault)
        self.held.pop(vault, None)
        self._save()

    def _put(self, vault: str, held: Held) -> None:
        self._clear_waiting(vault)
        self.held[vault] = held
        self._save()

    def _clear_waiting(self, vault: str) -> None:
        self.waiting = {name: one for name, one in self.waiting.items() if one.vault != vault}

    # -- the file

    def _fill(self, content: _Content) -> None:
        for vault, kept in content.shares.items():
            self.held[vault] = Held(KeyShare.decode(SUITES[kept.suite], kept.share), kept.ceremony, kept.since_ms)
        for name, waits in content.waiting.items():
            self.waiting[name] = Waiting(waits.vault, Pending.decode(SUITES[waits.suite], waits.pending))

    def _save(self) -> None:
        shares = {
            vault: _Share(one.share.public.suite.name, one.share.encode(), one.ceremony, one.since_ms)
            for vault, one in self.held.items()
        }
        waiting = {
            name: _Waiting(one.vault, one.pending.public.suite.name, one.pending.encode())
            for name, one in self.waiting.items()
        }
        plain = msgspec.msgpack.encode(_Content(self.number, self._seed.reveal(), shares, waiting))
        box = bytes(SecretBox(self._key.reveal()).encrypt(plain))  # with a fresh random nonce
        header = _Header(*self._strength, self._salt.hex(), sha256(box).hexdigest())
        try:
            durable.replace(self.path, _FIRST_LINE + msgspec.json.encode(header) + b"\n" + box)
        except OSError as error:
            raise UsageError(f"{self.path} cannot be written: {error.strerror}") from error


def _locked(path: Path) -> int:
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


def _derived(passphrase: str, salt: bytes, strength: Strength) -> Secret:
    if not passphrase:
        raise UsageError("the passphrase of a keyfile must not be empty")
    key = pwhash.argon2id.kdf(SecretBox.KEY_SIZE, passphrase.encode(), salt, strength.ops, strength.memory)
    return Secret(key)


def _read(path: Path) -> tuple[_Header, bytes]:
    """The parts of the file, told apart as far as that is possible without the passphrase."""
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
        header = msgspec.json.decode(line, type=_Header)
    except (msgspec.DecodeError, UnicodeDecodeError):
        header = None
    if header is None or sha256(box).hexdigest() != header.digest:
        raise ShellError(f"{path} is damaged: cut off or changed", "put back a copy of it, or restore the shares")
    return header, box
