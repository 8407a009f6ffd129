"""Keys, signers and wires for the tests of FROST: seeded randomness, dealt keys, signing by a set of signers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from m1cep.custody.frost import ED25519, SECP256K1, TAPROOT
from m1cep.custody.frost.hidden import Secret
from m1cep.custody.frost.keys import KeyShare, PublicKeys
from m1cep.custody.frost.sharing import polynomial_evaluate, vss_commit
from m1cep.custody.frost.signing import aggregate, commit, sign

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from m1cep.custody.frost.suite import Random, Suite

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


def signed(shares: Mapping[int, KeyShare], signers: Iterable[int], message: bytes, random: Random) -> bytes:
    """The signature of these signers."""
    rounds = {signer: commit(shares[signer], random) for signer in signers}
    commitments = [commitment for _, commitment in rounds.values()]
    answers = [sign(shares[signer], nonces, message, commitments) for signer, (nonces, _) in rounds.items()]
    return aggregate(next(iter(shares.values())).public, message, commitments, answers)


@dataclass(frozen=True)
class Given:
    """A source of randomness that gives what a vector says, in order."""

    chunks: list[bytes]

    def __call__(self, size: int) -> bytes:
        chunk = self.chunks.pop(0)
        assert len(chunk) == size
        return chunk
