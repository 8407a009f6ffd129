"""What a signer keeps, in one encrypted file: its own key, its shares of the vaults' keys, shares that wait for a ceremony's end.

How it is encrypted is in ``strongbox``.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec
from nacl import pwhash

from m1cep.custody.frost import ED25519, SECP256K1, TAPROOT
from m1cep.custody.frost.ceremony import Pending
from m1cep.custody.frost.envelope import Identity
from m1cep.custody.frost.hidden import Hidden, Secret
from m1cep.custody.frost.keys import KeyShare
from m1cep.errors import CustodyError
from streams import durable
from streams.custody.strongbox import STRONG, Strength, derived, locked, opened, read, sealed
from streams.errors import ShellError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from m1cep.custody.frost.suite import Suite

SUITES: dict[str, Suite] = {suite.name: suite for suite in (ED25519, SECP256K1, TAPROOT)}


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
        key = derived(passphrase, salt, strength)
        file = cls(path, number, Secret(secrets.token_bytes(32)), key, salt, strength)
        file._lock = locked(path)
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
        lock = None if to_read or not path.exists() else locked(path)
        try:
            return cls._opened(path, passphrase, lock)
        except BaseException:
            if lock is not None:
                os.close(lock)
            raise

    @classmethod
    def _opened(cls, path: Path, passphrase: str, lock: int | None) -> Keyfile:
        header, box = read(path)
        strength, salt = Strength(header.ops, header.memory), bytes.fromhex(header.salt)
        key = derived(passphrase, salt, strength)
        plain = opened(path, box, key)
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
        try:
            durable.replace(self.path, sealed(plain, self._key, self._salt, self._strength))
        except OSError as error:
            raise UsageError(f"{self.path} cannot be written: {error.strerror}") from error
