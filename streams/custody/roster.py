"""Who takes part in custody, from one TOML file that every party has: public keys, vaults, where the policy is.

    [coordinator]
    key = "<64 hexadecimal digits: Ed25519>"

    [facts]                      # who may say what opens doors: balances, closed alerts, whitelists, locks
    chains = "<key>"
    operations = "<key>"

    [signers]
    1 = "<key>"
    2 = "<key>"

    [vaults.alice-btc]
    chain = "bitcoin:regtest"
    account = "alice"
    signers = [1, 2]
    threshold = 2

The people who approve are named by the policy. A name is used for one key only: messages are signed by their sender's name.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from m1cep.custody.frost.keys import check_threshold
from m1cep.errors import CustodyError
from streams.errors import UsageError
from streams.files import read_text

COORDINATOR = "coordinator"

Key = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:@/+-]{0,127}$")]
Number = Annotated[int, Field(ge=1, le=255)]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Coordinator(_Closed):
    key: Key


class Vault(_Closed):
    """A vault: a group key of its own on one chain, for one account.

    Attributes:
        chain: as ``m1cep.custody.chains.named.chain_named`` takes it.
        account: whose it is.
        signers: numbers of those who hold a share.
        threshold: how many of them sign.
    """

    chain: Name
    account: Name
    signers: tuple[Number, ...]
    threshold: Annotated[int, Field(ge=2, le=255)]

    @model_validator(mode="after")
    def _possible(self) -> Vault:
        if len(set(self.signers)) != len(self.signers):
            raise ValueError("the same signer stands there twice")
        try:
            check_threshold(self.threshold, len(self.signers))
        except CustodyError as error:
            raise ValueError(str(error)) from None
        return self


class _File(_Closed):
    coordinator: _Coordinator
    facts: dict[Name, Key] = {}
    signers: dict[Number, Key]
    vaults: dict[Name, Vault]

    @model_validator(mode="after")
    def _fits(self) -> _File:
        keys = [self.coordinator.key, *self.facts.values(), *self.signers.values()]
        if len(set(keys)) != len(keys):
            raise ValueError("two parties have the same key")
        for name, vault in self.vaults.items():
            if missing := sorted(set(vault.signers) - self.signers.keys()):
                raise ValueError(f"vault {name} has signers that have no key: {', '.join(map(str, missing))}")
        if clash := sorted(self.facts.keys() & {COORDINATOR, *(signer_name(n) for n in self.signers)}):
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
        signers: the signers' keys by number, as ceremonies need them.
        vaults: by name.
    """

    keys: dict[str, bytes]
    facts: frozenset[str]
    signers: dict[int, bytes]
    vaults: dict[str, Vault]


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
    return Roster(keys, frozenset(found.facts), signers, found.vaults)
