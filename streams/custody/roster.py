"""Who takes part in custody, from one TOML file that every party has: public keys, vaults, where the policy is.

    [coordinator]
    key = "<64 hexadecimal digits: Ed25519>"

    [facts]                      # who may say what opens doors: balances, closed alerts, whitelists, locks
    chains = "<key>"
    operations = "<key>"

    [requesters]                 # who may ask for releases, beside the people of the policy
    withdrawals = "<key>"

    [signers]
    1 = "<key>"
    2 = "<key>"

    [vaults.alice-btc]
    chain = "bitcoin:regtest"
    account = "alice"
    signers = [1, 2]
    threshold = 2

    [vaults.alice-safe]          # a Safe: its owners are the signers, each with a key of its own (m1cep custody owner)
    chain = "safe:31337"
    account = "alice"
    signers = [1, 2]
    threshold = 2
    owners = {1 = "0x...", 2 = "0x..."}

    [audit]                      # if heads of the audit log are to be signed by a key of the signers (m1cep custody keygen audit)
    signers = [1, 2, 3]
    threshold = 2
    key = "<its public key, once it is there: what m1cep custody audit goes by>"

The people who approve are named by the policy. A name is used for one key only: messages are signed by their sender's name.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from m1cep.custody.frost.keys import check_threshold
from m1cep.errors import CustodyError
from streams.errors import UsageError
from streams.files import read_text

COORDINATOR = "coordinator"
#: By which ceremonies and keyfiles know the key that signs heads of the audit log.
AUDIT = "audit"

Key = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:@/+-]{0,127}$")]
Address = Annotated[str, Field(pattern=r"^0x[0-9A-Fa-f]{40}$")]
Number = Annotated[int, Field(ge=1, le=255)]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Coordinator(_Closed):
    key: Key


class Shared(_Closed):
    """A key that signers share.

    Attributes:
        signers: numbers of those who hold a share.
        threshold: how many of them sign.
    """

    signers: tuple[Number, ...]
    threshold: Annotated[int, Field(ge=2, le=255)]

    @model_validator(mode="after")
    def _possible(self) -> Shared:
        if len(set(self.signers)) != len(self.signers):
            raise ValueError("the same signer stands there twice")
        try:
            check_threshold(self.threshold, len(self.signers))
        except CustodyError as error:
            raise ValueError(str(error)) from None
        return self


class Vault(Shared):
    """A vault: a group key of its own on one chain, for one account.

    Attributes:
        chain: as ``m1cep.custody.chains.named.chain_named`` takes it.
        account: whose it is.
        owners: of a Safe: address of each signer, by number.
    """

    chain: Name
    account: Name
    owners: dict[Number, Address] = {}

    @model_validator(mode="after")
    def _owned(self) -> Vault:
        is_safe = self.chain.partition(":")[0] == "safe"
        if set(self.owners) != (set(self.signers) if is_safe else set()):
            raise ValueError("a vault on safe:CHAIN_ID has owners, one for each signer, and no other vault has")
        return self


class AuditGroup(Shared):
    """The key that signs heads of the audit log. It is none of a vault's.

    Attributes:
        key: its public key; None: it is not known here yet.
    """

    key: Key | None = None


class _File(_Closed):
    coordinator: _Coordinator
    facts: dict[Name, Key] = {}
    requesters: dict[Name, Key] = {}
    signers: dict[Number, Key]
    vaults: dict[Name, Vault]
    audit: AuditGroup | None = None

    @model_validator(mode="after")
    def _fits(self) -> _File:
        keys = [self.coordinator.key, *self.facts.values(), *self.requesters.values(), *self.signers.values()]
        if len(set(keys)) != len(keys):
            raise ValueError("two parties have the same key")
        if self.audit is not None and AUDIT in self.vaults:
            raise ValueError(f"a vault cannot be named {AUDIT}: that is the key of the audit log")
        shared: dict[str, Shared] = {**self.vaults, **({AUDIT: self.audit} if self.audit else {})}
        for name, vault in shared.items():
            if missing := sorted(set(vault.signers) - self.signers.keys()):
                raise ValueError(f"vault {name} has signers that have no key: {', '.join(map(str, missing))}")
        others = {COORDINATOR, *(signer_name(n) for n in self.signers)}
        if clash := sorted(
            (self.facts.keys() | self.requesters.keys()) & others or self.facts.keys() & self.requesters.keys()
        ):
            raise ValueError(f"the name {clash[0]} is another party's")
        return self


def signer_name(number: int) -> str:
    """By which messages of a signer are known."""
    return f"signer-{number}"


@dataclass(frozen=True, slots=True)
class Roster:
    """Who takes part.

    Attributes:
        keys: Ed25519 public keys (32 bytes) by the party's name: ``coordinator``, ``signer-1``, and the sources of facts.
        facts: names of those who may say what opens doors.
        requesters: keys of those who may ask for releases, by name. They are not among ``keys``: nobody else hears them.
        signers: the signers' keys by number, as ceremonies need them.
        vaults: by name.
        audit: who shares the key of the audit log; None: only the coordinator signs its heads.
    """

    keys: dict[str, bytes]
    facts: frozenset[str]
    signers: dict[int, bytes]
    vaults: dict[str, Vault]
    requesters: dict[str, bytes] = field(default_factory=dict)
    audit: AuditGroup | None = None

    def shared(self, name: str) -> Shared:
        """Who shares the key of a vault, or of the audit log.

        Raises:
            CustodyError: there is no such key.
        """
        found = self.audit if name == AUDIT and self.audit is not None else self.vaults.get(name)
        if found is None:
            names = [*sorted(self.vaults), *([AUDIT] if self.audit else [])]
            raise CustodyError(f"the roster has no vault {name}; it has {', '.join(names) or 'none'}")
        return found


def load_roster(file: str | Path) -> Roster:
    """The roster of a file.

    Raises:
        UsageError: it cannot be read, or is not of the form above: says where and what was expected.
    """
    path = Path(file)
    try:
        found = _File.model_validate(tomllib.loads(read_text(path)))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UsageError(f"{path}, {where}: {first['msg']}") from None
    signers = {number: bytes.fromhex(key) for number, key in found.signers.items()}
    keys = {COORDINATOR: bytes.fromhex(found.coordinator.key)}
    keys |= {name: bytes.fromhex(key) for name, key in found.facts.items()}
    keys |= {signer_name(number): key for number, key in signers.items()}
    requesters = {name: bytes.fromhex(key) for name, key in found.requesters.items()}
    return Roster(keys, frozenset(found.facts), signers, found.vaults, requesters, found.audit)
