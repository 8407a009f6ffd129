"""Ceremonies: a new key without a dealer, a refresh, other members or another threshold under the same public key.

All are one protocol. Every participant announces a box key; every dealer deals a secret to all receivers (Feldman's
verifiable sharing); a receiver's share is the weighted sum of what it was dealt.

- A new key (Pedersen): all deal, each a random secret, with a proof that it knows it. The key is the sum.
- A refresh or change of members: at least as many holders as the threshold says deal their own shares, which
  everybody checks against the public keys; weighted as in interpolation, the key stays what it is. Any set of members
  and any threshold may receive. Shares of the old epoch do not fit those of the new; whoever misses a share gets one.

    Terms ─▶ round_one ─▶ everybody ─▶ round_two ─▶ each receiver ─▶ finish ─▶ confirm ─▶ everybody ─▶ Pending.activate

The broker might show different messages to different participants: everybody signs a hash of all it saw, and no share
can be used before all receivers have signed the same. Store what is pending before confirming it, and keep the old
share until the new one has been activated. Messages travel in envelopes (``envelope``); what is handed in
here must come out of them. A ceremony in which somebody misbehaves ends; repeat it without the one who is named.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from m1cep.custody.frost.envelope import is_signed
from m1cep.custody.frost.errors import (
    AuthenticityError,
    EncodingError,
    MisbehaviourError,
    SharesError,
    SignersError,
)
from m1cep.custody.frost.hidden import Hidden, Secret
from m1cep.custody.frost.keys import KeyShare, PublicKeys
from m1cep.custody.frost.proof import prove_possession, verify_possession
from m1cep.custody.frost.sealing import BOX_KEY_SIZE, BoxKey
from m1cep.custody.frost.sharing import (
    polynomial_evaluate,
    sum_of,
    vss_commit,
    vss_evaluate,
    vss_verify,
)
from m1cep.custody.frost.wire import Kind, Reader, header, u16

if TYPE_CHECKING:
    from collections.abc import Mapping

    from m1cep.custody.frost.envelope import Identity
    from m1cep.custody.frost.suite import Element, Random, Suite
    from m1cep.custody.frost.terms import Terms

TRANSCRIPT_SIZE = 32
_TRANSCRIPT = b"M1CEP FROST ceremony transcript v1\0"
_CONFIRMATION = b"M1CEP FROST ceremony confirmed v1\0"


@dataclass(frozen=True, slots=True)
class RoundOne:
    """What a participant tells everybody.

    Attributes:
        identifier: whose it is.
        box_key: for sealing what is dealt to it.
        commitments: to the coefficients of what it deals; empty if it deals nothing.
        proof: that it knows its secret, for a new key; otherwise empty.
    """

    identifier: int
    box_key: bytes
    commitments: tuple[Element, ...]
    proof: bytes

    def encode(self, suite: Suite) -> bytes:
        """One encoding."""
        head = header(Kind.ROUND_ONE, suite) + u16(self.identifier) + self.box_key
        return head + u16(len(self.commitments)) + b"".join(self.commitments) + u16(len(self.proof)) + self.proof

    @classmethod
    def decode(cls, suite: Suite, data: bytes) -> RoundOne:
        """From ``encode``. Raises EncodingError."""
        reader = Reader("the first round's message", data)
        reader.header(Kind.ROUND_ONE, suite)
        identifier, box_key = reader.identifier(), reader.take(BOX_KEY_SIZE)
        commitments = tuple(reader.element(suite) for _ in range(reader.count()))
        message = cls(identifier, box_key, commitments, reader.take(reader.u16()))
        reader.end()
        return message


class Dealing(Hidden):
    """What a participant keeps to itself until the ceremony's end: its box key, the polynomial it deals from."""

    __slots__ = ("_coefficients", "box", "identifier")

    def __init__(self, identifier: int, box: BoxKey, coefficients: tuple[Secret, ...]) -> None:
        self.identifier, self.box, self._coefficients = identifier, box, coefficients

    def share_for(self, suite: Suite, receiver: int) -> Secret:
        """What it deals to a receiver."""
        return Secret(polynomial_evaluate(suite, receiver, [one.reveal() for one in self._coefficients]))


class Pending(Hidden):
    """A share that waits for everybody's confirmation.

    Store it, encrypted, before confirming: once all have confirmed, others may delete their old shares.

    Attributes:
        transcript: 32 bytes, to be confirmed.
        public: the public keys that come of the ceremony.
    """

    __slots__ = ("_share", "public", "transcript")

    def __init__(self, transcript: bytes, share: KeyShare) -> None:
        self.transcript, self.public, self._share = transcript, share.public, share

    def activate(self, terms: Terms, confirmations: Mapping[int, bytes]) -> KeyShare:
        """The share, now that all have confirmed (by receiver). Store it, then delete the one of the old epoch.

        Raises:
            SignersError, AuthenticityError: as ``check_confirmations``.
        """
        check_confirmations(terms, self.transcript, confirmations)
        return self._share

    def encode(self) -> bytes:
        """One encoding. It holds the secret: for encrypted storage only."""
        return header(Kind.PENDING, self.public.suite) + self.transcript + self._share.encode()

    @classmethod
    def decode(cls, suite: Suite, data: bytes) -> Pending:
        """From ``encode``, checked.

        Raises:
            EncodingError, SignersError, SharesError: as ``KeyShare.decode``.
        """
        reader = Reader("the pending share", data)
        reader.header(Kind.PENDING, suite)
        return cls(reader.take(TRANSCRIPT_SIZE), KeyShare.decode(suite, reader.rest()))


def round_one(terms: Terms, identifier: int, random: Random, share: KeyShare | None = None) -> tuple[Dealing, RoundOne]:
    """What to keep, and what to tell everybody. A dealer of an existing key hands in its share.

    Raises:
        SignersError: this signer has no part in the ceremony.
        SharesError: the share is missing, or not of the key that the terms are about.
    """
    suite = terms.suite
    if identifier not in terms.roster:
        raise SignersError(f"signer {identifier} has no part in this ceremony of {', '.join(map(str, terms.roster))}")
    box = BoxKey(random)
    if identifier not in terms.dealers:
        return Dealing(identifier, box, ()), RoundOne(identifier, box.public, (), b"")
    if terms.previous is None:
        constant = Secret(suite.random_scalar(random))
    elif share is not None and share.public == terms.previous and share.identifier == identifier:
        constant = share.secret
    else:
        raise SharesError(f"to deal, signer {identifier} needs its share of epoch {terms.previous.epoch} of this key")
    coefficients = (constant, *(Secret(suite.random_scalar(random)) for _ in range(terms.threshold - 1)))
    commitments = vss_commit(suite, [one.reveal() for one in coefficients])
    proof = b""
    if terms.previous is None:
        proof = prove_possession(suite, identifier, constant, terms.digest(), random)
    return Dealing(identifier, box, coefficients), RoundOne(identifier, box.public, commitments, proof)


def check_round_ones(terms: Terms, messages: Mapping[int, RoundOne]) -> None:
    """Whether everybody has said what it must, by sender.

    Raises:
        SignersError: somebody's message is missing, or of somebody who has no part.
        MisbehaviourError: a message that no honest participant sends; who.
    """
    if set(messages) != set(terms.roster):
        raise SignersError(f"the first round needs signers {list(terms.roster)}; it has {sorted(messages)}")
    context = terms.digest()
    for sender, message in messages.items():
        if flaw := _flaw(terms, sender, message, context):
            raise MisbehaviourError(f"in the first round, {flaw}", [sender])


def _flaw(terms: Terms, sender: int, message: RoundOne, context: bytes) -> str:
    if message.identifier != sender:
        return f"it speaks as signer {message.identifier}"
    if sender not in terms.dealers:
        return "it deals though it should not" if message.commitments or message.proof else ""
    if len(message.commitments) != terms.threshold:
        return f"it commits to {len(message.commitments)} coefficients, not {terms.threshold}"
    if terms.previous is None:
        if not verify_possession(terms.suite, sender, message.commitments[0], context, message.proof):
            return "its proof of possession is wrong"
    elif message.commitments[0] != terms.previous.shares[sender] or message.proof:
        return "what it deals is not its share of the key"
    return ""


def round_two(terms: Terms, dealing: Dealing, messages: Mapping[int, RoundOne], random: Random) -> dict[int, bytes]:
    """What to send to each receiver: its share of what this participant deals, sealed. Empty for who deals nothing.

    Raises:
        SignersError, MisbehaviourError: as ``check_round_ones``.
    """
    check_round_ones(terms, messages)
    if dealing.identifier not in terms.dealers:
        return {}
    sealed = {}
    for receiver in terms.receivers:
        try:
            share = dealing.share_for(terms.suite, receiver)
            sealed[receiver] = dealing.box.seal(messages[receiver].box_key, share, random)
        except EncodingError as error:
            raise MisbehaviourError(f"in the first round, {error}", [receiver]) from None
    return sealed


def next_public_keys(terms: Terms, messages: Mapping[int, RoundOne]) -> PublicKeys:
    """The public keys that come of the ceremony; anybody can compute them.

    Raises:
        SharesError: what was committed to gives no key; repeat the ceremony.
    """
    suite, weights = terms.suite, terms.weights()
    try:
        combined = [
            suite.add([suite.mul(messages[dealer].commitments[k], weight) for dealer, weight in weights.items()])
            for k in range(terms.threshold)
        ]
        shares = {receiver: vss_evaluate(suite, receiver, combined) for receiver in terms.receivers}
    except EncodingError:
        raise SharesError("the commitments add up to the identity element; repeat the ceremony") from None
    return PublicKeys(suite, terms.epoch, terms.threshold, combined[0], shares)


def transcript(terms: Terms, messages: Mapping[int, RoundOne]) -> bytes:
    """32 bytes that are the same for all who saw the same terms and the same first round."""
    said = b"".join(hashlib.sha256(messages[one].encode(terms.suite)).digest() for one in terms.roster)
    return hashlib.sha256(_TRANSCRIPT + terms.digest() + said).digest()


def finish(terms: Terms, dealing: Dealing, messages: Mapping[int, RoundOne], sealed: Mapping[int, bytes]) -> Pending:
    """A receiver's share, of what each dealer sealed for it (by dealer; its own among them).

    Raises:
        SignersError: this signer receives nothing, or something sealed is missing.
        MisbehaviourError: what a dealer sent does not fit what it committed to; who.
        SharesError: the whole gives no key.
    """
    suite, me = terms.suite, dealing.identifier
    check_round_ones(terms, messages)
    if me not in terms.receivers:
        raise SignersError(f"signer {me} receives no share in this ceremony")
    if set(sealed) != set(terms.dealers):
        raise SignersError(f"the second round needs dealers {list(terms.dealers)}; it has {sorted(sealed)}")
    parts = []
    for dealer, weight in terms.weights().items():
        try:
            part = dealing.box.open(suite, messages[dealer].box_key, sealed[dealer]).reveal()
        except (AuthenticityError, EncodingError) as error:
            raise MisbehaviourError(f"in the second round, {error}", [dealer]) from None
        if not vss_verify(suite, me, part, messages[dealer].commitments):
            raise MisbehaviourError("in the second round, a share does not fit its commitments", [dealer])
        parts.append(suite.scalar_mul(part, weight))
    share = KeyShare(me, Secret(sum_of(suite, parts)), next_public_keys(terms, messages))
    share.check()  # against faults of our own: others may delete their old shares once this is confirmed
    if terms.previous is not None and share.public.group != terms.previous.group:
        raise SharesError("the group's key would change: the previous public keys do not belong together")
    return Pending(transcript(terms, messages), share)


def confirm(identity: Identity, transcript: bytes) -> bytes:
    """What a receiver tells everybody: that it has its share, and saw all this."""
    return identity.sign(_CONFIRMATION + transcript)


def check_confirmations(terms: Terms, transcript: bytes, confirmations: Mapping[int, bytes]) -> None:
    """Whether every receiver has confirmed what we saw. A dealer keeps its old share until then.

    Raises:
        SignersError: somebody has not confirmed yet.
        AuthenticityError: somebody confirmed something else: not all saw the same, the ceremony is void.
    """
    if missing := [one for one in terms.receivers if one not in confirmations]:
        raise SignersError(f"signers {missing} have not confirmed; the key is not active before all have")
    for receiver in terms.receivers:
        if not is_signed(terms.roster[receiver], _CONFIRMATION + transcript, confirmations[receiver]):
            raise AuthenticityError(
                f"signer {receiver} has confirmed other messages than those seen here: the ceremony is void, repeat it"
            )
