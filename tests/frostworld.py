"""Keys, signers and wires for the tests of FROST: seeded randomness, dealt keys, signing by a set of signers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from m1cep.custody.frost import ED25519, SECP256K1, TAPROOT, ceremony
from m1cep.custody.frost.envelope import Identity
from m1cep.custody.frost.hidden import Secret
from m1cep.custody.frost.keys import KeyShare, PublicKeys
from m1cep.custody.frost.sharing import polynomial_evaluate, vss_commit
from m1cep.custody.frost.signing import Commitment, aggregate, commit, sign

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from m1cep.custody.frost.signing import Nonces, SignatureShare
    from m1cep.custody.frost.suite import Random, Suite
    from m1cep.custody.frost.terms import Terms

SUITES: dict[str, Suite] = {"ed25519": ED25519, "secp256k1": SECP256K1, "secp256k1-tr": TAPROOT}
_PUBLISHED = Path(__file__).parent / "published" / "frost"


def published(name: str) -> Any:
    """One of the published vectors, by the name of its file."""
    return json.loads((_PUBLISHED / f"{name}.json").read_text())


def seeded(seed: object) -> Random:
    """Randomness that is the same every time; every call gives other bytes."""
    state = hashlib.sha256(repr(seed).encode()).digest()

    def random(size: int) -> bytes:
        nonlocal state
        state, data = hashlib.shake_256(state).digest(32), hashlib.shake_256(b"out" + state).digest(size)
        return data

    return random


def dealt(suite: Suite, threshold: int, members: Iterable[int], random: Random, epoch: int = 0) -> dict[int, KeyShare]:
    """A key as a dealer would make it: quicker than the ceremony, and only for tests."""
    coefficients = [suite.random_scalar(random) for _ in range(threshold)]
    secrets = {member: polynomial_evaluate(suite, member, coefficients) for member in members}
    shares = {member: suite.base_mul(secret) for member, secret in secrets.items()}
    public = PublicKeys(suite, epoch, threshold, vss_commit(suite, coefficients)[0], shares)
    return {member: KeyShare(member, Secret(secret), public) for member, secret in secrets.items()}


def committed(
    shares: Mapping[int, KeyShare], signers: Iterable[int], random: Random
) -> tuple[dict[int, Nonces], list[Commitment]]:
    """Round one of these signers."""
    nonces = {signer: commit(shares[signer], random)[0] for signer in signers}
    return nonces, [made.commitment for made in nonces.values()]


def answered(
    shares: Mapping[int, KeyShare], signers: Iterable[int], message: bytes, random: Random
) -> tuple[list[Commitment], list[SignatureShare]]:
    """Both rounds of these signers."""
    nonces, commitments = committed(shares, signers, random)
    return commitments, [sign(shares[signer], made, message, commitments) for signer, made in nonces.items()]


def signed(shares: Mapping[int, KeyShare], signers: Iterable[int], message: bytes, random: Random) -> bytes:
    """The signature of these signers."""
    commitments, answers = answered(shares, signers, message, random)
    return aggregate(next(iter(shares.values())).public, message, commitments, answers)


def identities(members: Iterable[int], random: Random) -> dict[int, Identity]:
    """A key of its own for each signer."""
    return {member: Identity(member, Secret(random(32))) for member in members}


def roster(people: Mapping[int, Identity]) -> dict[int, bytes]:
    """By which keys they know each other."""
    return {member: identity.verify_key for member, identity in people.items()}


class Run:
    """One ceremony, round by round, so that tests can hurt what travels."""

    def __init__(self, terms: Terms, random: Random, shares: Mapping[int, KeyShare] | None = None) -> None:
        self.terms, self.random = terms, random
        self.dealings, self.first = {}, {}
        for one in terms.roster:
            self.dealings[one], self.first[one] = ceremony.round_one(terms, one, random, (shares or {}).get(one))

    def second(self) -> dict[int, dict[int, bytes]]:
        """What is sealed: by dealer, by receiver."""
        return {
            dealer: ceremony.round_two(self.terms, self.dealings[dealer], self.first, self.random)
            for dealer in self.terms.dealers
        }

    def finish(self, receiver: int, second: dict[int, dict[int, bytes]]) -> ceremony.Pending:
        """Of one receiver."""
        sealed = {dealer: sent[receiver] for dealer, sent in second.items()}
        return ceremony.finish(self.terms, self.dealings[receiver], self.first, sealed)

    def whole(self, people: Mapping[int, Identity]) -> dict[int, KeyShare]:
        """All of it."""
        second = self.second()
        pending = {receiver: self.finish(receiver, second) for receiver in self.terms.receivers}
        said = {one: ceremony.confirm(people[one], waiting.transcript) for one, waiting in pending.items()}
        return {one: waiting.activate(self.terms, said) for one, waiting in pending.items()}


@dataclass(frozen=True)
class Given:
    """A source of randomness that gives what a vector says, in order."""

    chunks: list[bytes]

    def __call__(self, size: int) -> bytes:
        chunk = self.chunks.pop(0)
        assert len(chunk) == size
        return chunk
