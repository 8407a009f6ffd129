"""What a threshold signature costs each signer, in processor time, and how often that is a plain signature.

    python bench/frost.py [--threshold 3] [--members 5] [--turns 200] [--json]

One process, one thread, by turns. ``signer`` is all that one signer does for one signature: its commitment (made,
encoded, signed in an envelope), the others' commitments (envelopes opened, decoded), its share (made, encoded, signed).
``aggregate`` is what puts the shares together, verification as on the chain included; ``blame`` the same where one
share is wrong. ``ceremony`` is what one member does for a new key. ``plain`` is one signature by the library, alone.
"""

from __future__ import annotations

import argparse
import json
import secrets
import statistics
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from coincurve import PrivateKey
from nacl.signing import SigningKey

from m1cep.custody.frost import ED25519, SECP256K1, TAPROOT, ceremony
from m1cep.custody.frost.envelope import TO_ALL, Envelope, Identity, Purpose
from m1cep.custody.frost.errors import MisbehaviourError
from m1cep.custody.frost.hidden import Secret
from m1cep.custody.frost.signing import Commitment, aggregate, commit, sign
from m1cep.custody.frost.terms import new_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from m1cep.custody.frost.keys import KeyShare
    from m1cep.custody.frost.suite import Suite

MESSAGE = bytes(32)


class Clock:
    """Processor time by name, in milliseconds."""

    def __init__(self) -> None:
        self.taken: dict[str, list[float]] = {}

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Of what is done within."""
        begin = time.process_time_ns()
        yield
        self.taken.setdefault(name, []).append((time.process_time_ns() - begin) / 1e6)


def generate(suite: Suite, threshold: int, people: dict[int, Identity], clock: Clock) -> dict[int, KeyShare]:
    """A key by ceremony; the first member's part of it on the clock."""
    random = secrets.token_bytes
    terms = new_key(suite, random(32), threshold, {one: person.verify_key for one, person in people.items()})
    first = {one: ceremony.round_one(terms, one, random) for one in people if one != 1}
    with clock.of("ceremony"):
        first[1] = ceremony.round_one(terms, 1, random)
        said = {one: message for one, (_, message) in first.items()}
        dealt = {1: ceremony.round_two(terms, first[1][0], said, random)}
    for one in people:
        if one != 1:
            dealt[one] = ceremony.round_two(terms, first[one][0], said, random)
    pending = {}
    for one in people:
        if one != 1:
            pending[one] = ceremony.finish(terms, first[one][0], said, {d: sent[one] for d, sent in dealt.items()})
    confirmed = {one: ceremony.confirm(people[one], waiting.transcript) for one, waiting in pending.items()}
    with clock.of("ceremony's end"):
        pending[1] = ceremony.finish(terms, first[1][0], said, {d: sent[1] for d, sent in dealt.items()})
        confirmed[1] = ceremony.confirm(people[1], pending[1].transcript)
        shares = {1: pending[1].activate(terms, confirmed)}
    return shares | {one: pending[one].activate(terms, confirmed) for one in people if one != 1}


def one_signature(key: dict[int, KeyShare], signers: list[int], people: dict[int, Identity], clock: Clock) -> None:
    """All that one signer does is on the clock as ``signer``."""
    public, attempt = key[1].public, secrets.token_bytes(32)
    suite, roster = public.suite, {one: person.verify_key for one, person in people.items()}

    def sealed(sender: int, purpose: Purpose, body: bytes) -> bytes:
        return Envelope(purpose, attempt, public.epoch, sender, TO_ALL, body).seal(suite, people[sender])

    others = {one: commit(key[one], secrets.token_bytes) for one in signers if one != 1}
    arrived = [sealed(one, Purpose.COMMITMENT, made.encode(suite)) for one, (_, made) in others.items()]
    with clock.of("signer"):
        nonces, mine = commit(key[1], secrets.token_bytes)
        sealed(1, Purpose.COMMITMENT, mine.encode(suite))
        commitments = [mine]
        for data in arrived:
            letter = Envelope.open(suite, data, roster)
            letter.check(ceremony=attempt, epoch=public.epoch, receiver=1)
            commitments.append(Commitment.decode(suite, letter.body))
        with clock.of("of which sign"):
            answer = sign(key[1], nonces, MESSAGE, commitments)
        sealed(1, Purpose.SIGNATURE_SHARE, answer.encode(suite))
    answers = [answer, *(sign(key[one], made, MESSAGE, commitments) for one, (made, _) in others.items())]
    with clock.of("aggregate"):
        aggregate(public, MESSAGE, commitments, answers)
    with clock.of("blame"), suppress(MisbehaviourError):
        aggregate(public, MESSAGE, commitments, [replace(answers[0], response=suite.scalar(7)), *answers[1:]])


def measure(suite: Suite, threshold: int, members: int, turns: int) -> dict[str, float]:
    """Medians in milliseconds of processor time."""
    clock = Clock()
    people = {one: Identity(one, Secret(secrets.token_bytes(32))) for one in range(1, members + 1)}
    for _ in range(max(3, turns // 20)):
        key = generate(suite, threshold, people, clock)
    plain = SigningKey.generate() if suite is ED25519 else PrivateKey()
    for _ in range(turns):
        one_signature(key, list(range(1, threshold + 1)), people, clock)
        with clock.of("plain"):
            plain.sign(MESSAGE) if isinstance(plain, SigningKey) else plain.sign_schnorr(MESSAGE)
    return {name: statistics.median(taken) for name, taken in clock.taken.items()}


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threshold", type=int, default=3)
    parser.add_argument("--members", type=int, default=5)
    parser.add_argument("--turns", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found = {s.name: measure(s, args.threshold, args.members, args.turns) for s in (ED25519, SECP256K1, TAPROOT)}
    if args.json:
        print(json.dumps(found))
        return
    names = ["signer", "of which sign", "aggregate", "blame", "ceremony", "ceremony's end", "plain"]
    print(f"{args.threshold} of {args.members}, ms of processor time (median)")
    print(f"{'':32}" + "".join(f"{name:>16}" for name in names) + f"{'signer / plain':>16}")
    for suite, row in found.items():
        ratio = row["signer"] / row["plain"]
        print(f"{suite:32}" + "".join(f"{row[name]:16.2f}" for name in names) + f"{ratio:16.1f}")


if __name__ == "__main__":
    main()
