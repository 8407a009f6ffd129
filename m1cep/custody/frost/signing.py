"""Two-round signing (RFC 9591, sections 4 and 5): commit, sign, verify a share, aggregate and name who spoiled it.

A signer commits to a pair of nonces in round one. In round two it gets everybody's commitments and answers with its
share of the signature. Anybody may put the shares together. A pair of nonces signs once: used again, it gives the key
share away, so it is taken out of its holder before it is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from m1cep.custody.frost.binding import (
    compute_binding_factors,
    compute_group_commitment,
    participants_from_commitment_list,
)
from m1cep.custody.frost.errors import (
    EncodingError,
    EpochError,
    MisbehaviourError,
    NonceError,
    SharesError,
    SignersError,
)
from m1cep.custody.frost.hidden import Hidden, Secret
from m1cep.custody.frost.sharing import derive_interpolating_value, distinct, sum_of
from m1cep.custody.frost.suite import draw
from m1cep.custody.frost.wire import Kind, Reader, header, u16, u32

if TYPE_CHECKING:
    from collections.abc import Sequence

    from m1cep.custody.frost.keys import KeyShare, PublicKeys
    from m1cep.custody.frost.suite import Element, Random, Scalar, Suite


@dataclass(frozen=True, slots=True)
class Commitment:
    """What a signer publishes in round one.

    Attributes:
        identifier, epoch: who, and of which epoch of the key.
        hiding, binding: its nonces, each times the generator.
    """

    identifier: int
    epoch: int
    hiding: Element
    binding: Element

    def encode(self, suite: Suite) -> bytes:
        """One encoding."""
        return header(Kind.COMMITMENT, suite) + u16(self.identifier) + u32(self.epoch) + self.hiding + self.binding

    @classmethod
    def decode(cls, suite: Suite, data: bytes) -> Commitment:
        """From ``encode``. Raises EncodingError."""
        reader = Reader("the commitment", data)
        reader.header(Kind.COMMITMENT, suite)
        commitment = cls(reader.identifier(), reader.u32(), reader.element(suite), reader.element(suite))
        reader.end()
        return commitment


@dataclass(frozen=True, slots=True)
class SignatureShare:
    """What a signer publishes in round two.

    Attributes:
        identifier, epoch: who, and of which epoch of the key.
        response: its part of the signature's scalar.
    """

    identifier: int
    epoch: int
    response: Scalar

    def encode(self, suite: Suite) -> bytes:
        """One encoding."""
        return header(Kind.SIGNATURE_SHARE, suite) + u16(self.identifier) + u32(self.epoch) + self.response

    @classmethod
    def decode(cls, suite: Suite, data: bytes) -> SignatureShare:
        """From ``encode``. Raises EncodingError."""
        reader = Reader("the signature share", data)
        reader.header(Kind.SIGNATURE_SHARE, suite)
        share = cls(reader.identifier(), reader.u32(), reader.scalar(suite))
        reader.end()
        return share


class Nonces(Hidden):
    """A pair of nonces, for one signature. Kept in memory only, never written down."""

    __slots__ = ("_pair", "commitment")

    def __init__(self, hiding: Secret, binding: Secret, commitment: Commitment) -> None:
        self._pair = [(hiding, binding)]
        self.commitment = commitment

    def take(self) -> tuple[Secret, Secret]:
        """The pair, which is gone then.

        Raises:
            NonceError: it was taken before.
        """
        try:
            return self._pair.pop()
        except IndexError:
            raise NonceError("this nonce pair has signed already; begin a new attempt with fresh nonces") from None


def nonce_generate(suite: Suite, secret: Secret, random: Random) -> Secret:
    """Section 4.1: from randomness and the key share, so that a weak source alone does not give the share away."""
    return Secret(suite.h3(draw(random, 32) + secret.reveal()))


def commit(share: KeyShare, random: Random) -> tuple[Nonces, Commitment]:
    """Section 5.1, round one: fresh nonces, and what to publish of them."""
    suite, public = share.public.suite, share.public
    hiding, binding = (nonce_generate(suite, share.secret, random) for _ in range(2))
    published = (suite.base_mul(hiding.reveal()), suite.base_mul(binding.reveal()))
    commitment = Commitment(share.identifier, public.epoch, *published)
    return Nonces(hiding, binding, commitment), commitment


@dataclass(frozen=True, slots=True)
class _Session:
    """What all signers and the aggregator compute alike from message and commitments."""

    commitments: dict[int, Commitment]
    factors: dict[int, Scalar]
    group_commitment: Element
    flips_nonces: bool  # BIP340: R has odd y, everybody's nonces are negated
    flips_keys: bool  # BIP340: the group's key has odd y, everybody's shares are negated
    challenge: Scalar

    @classmethod
    def of(cls, public: PublicKeys, message: bytes, commitments: Sequence[Commitment]) -> _Session:
        suite = public.suite
        _check_commitments(public, commitments)
        ordered = sorted(commitments, key=lambda one: one.identifier)
        group = suite.even(public.group)
        factors = compute_binding_factors(suite, group, ordered, message)
        total = compute_group_commitment(suite, ordered, factors)
        even = suite.even(total)
        return cls(
            commitments={one.identifier: one for one in ordered},
            factors=factors,
            group_commitment=even,
            flips_nonces=even != total,
            flips_keys=group != public.group,
            challenge=suite.challenge(even, group, message),
        )

    def weight(self, suite: Suite, identifier: int) -> Scalar:
        """By what the signer's key share is multiplied, without signs."""
        return suite.scalar_mul(derive_interpolating_value(suite, list(self.commitments), identifier), self.challenge)


def _check_commitments(public: PublicKeys, commitments: Sequence[Commitment]) -> None:
    for one in commitments:
        _check_member(public, one.identifier, one.epoch, "the commitment")
    count = len(participants_from_commitment_list(commitments))
    if count < public.threshold:
        raise SignersError(f"{count} signers are too few; this key needs {public.threshold}")
    for one in commitments:
        try:
            public.suite.deserialize_element(one.hiding)
            public.suite.deserialize_element(one.binding)
        except EncodingError as error:
            raise MisbehaviourError(f"a commitment is malformed ({error})", [one.identifier]) from None


def _check_member(public: PublicKeys, identifier: int, epoch: int, what: str) -> None:
    if epoch != public.epoch:
        raise EpochError(f"{what} of signer {identifier}", expected=public.epoch, came=epoch)
    if identifier not in public.shares:
        raise SignersError(f"the key has no signer {identifier}; it has {', '.join(map(str, public.shares))}")


def sign(share: KeyShare, nonces: Nonces, message: bytes, commitments: Sequence[Commitment]) -> SignatureShare:
    """Section 5.2, round two: this signer's share of the signature.

    The message must be one that the signer derived itself. The nonces are used up, whether or not the signature comes
    to be.

    Raises:
        SignersError: too few, unknown or repeated signers.
        EpochError: a commitment, or the nonces, of another epoch.
        NonceError: the nonces have signed before, or the list does not have what was committed to.
        MisbehaviourError: a commitment is malformed; its signer is named.
        EncodingError: the commitments add up to the identity element, which honest ones do not.
    """
    suite, public = share.public.suite, share.public
    session = _Session.of(public, message, commitments)
    if session.commitments.get(share.identifier) != nonces.commitment:
        raise NonceError(f"the list does not have what signer {share.identifier} committed to with these nonces")
    hiding, binding = (nonce.reveal() for nonce in nonces.take())
    nonce = suite.scalar_add(hiding, suite.scalar_mul(binding, session.factors[share.identifier]))
    keyed = suite.scalar_mul(share.secret.reveal(), session.weight(suite, share.identifier))
    if session.flips_nonces:
        nonce = suite.scalar_negate(nonce)
    if session.flips_keys:
        keyed = suite.scalar_negate(keyed)
    return SignatureShare(share.identifier, public.epoch, suite.scalar_add(nonce, keyed))


def verify_signature_share(
    public: PublicKeys, share: SignatureShare, message: bytes, commitments: Sequence[Commitment]
) -> bool:
    """Section 5.4: whether one signer's share is right; all of it is public.

    Raises:
        SignersError, EpochError, MisbehaviourError: as ``sign``.
    """
    return _verify_share(public, share, _Session.of(public, message, commitments))


def _verify_share(public: PublicKeys, share: SignatureShare, session: _Session) -> bool:
    suite = public.suite
    _check_member(public, share.identifier, share.epoch, "the signature share")
    commitment = session.commitments.get(share.identifier)
    if commitment is None:
        raise SignersError(f"signer {share.identifier} has not committed to nonces for this signature")
    # response*G = +-(hiding + factor*binding) +- weight*key; signs go to the scalars, points stay as they came
    response, weight = share.response, session.weight(suite, share.identifier)
    if session.flips_nonces:
        response = suite.scalar_negate(response)
    if session.flips_nonces != session.flips_keys:
        weight = suite.scalar_negate(weight)
    try:
        suite.deserialize_scalar(share.response)
        bound = suite.mul(commitment.binding, session.factors[share.identifier])
        keyed = suite.mul(public.shares[share.identifier], weight)
        return suite.base_mul(response) == suite.add([commitment.hiding, bound, keyed])
    except EncodingError:
        return False


def aggregate(
    public: PublicKeys, message: bytes, commitments: Sequence[Commitment], shares: Sequence[SignatureShare]
) -> bytes:
    """Section 5.3: the signature, verified as the chain will verify it.

    Raises:
        SignersError: the shares are not of those who committed; too few, unknown, repeated.
        EpochError: something of another epoch.
        MisbehaviourError: the signature would not verify; ``culprits`` are those whose shares are wrong.
        SharesError: it would not verify though every share is right: the public keys do not belong together.
    """
    suite = public.suite
    session = _Session.of(public, message, commitments)
    for share in shares:
        _check_member(public, share.identifier, share.epoch, "the signature share")
    came = distinct(share.identifier for share in shares)
    if came != tuple(session.commitments):
        raise SignersError(
            f"shares came from signers {list(came)}, commitments from signers {list(session.commitments)}"
        )
    if all(_is_scalar(suite, share.response) for share in shares):
        response = sum_of(suite, (share.response for share in shares))
        signature = suite.encode_signature(session.group_commitment, response)
        if suite.verify(suite.even(public.group), message, signature):
            return signature
    if culprits := [share.identifier for share in shares if not _verify_share(public, share, session)]:
        raise MisbehaviourError("a signature share is wrong", culprits)
    raise SharesError("every share is right but the signature does not verify: the public keys do not belong together")


def _is_scalar(suite: Suite, data: bytes) -> bool:
    try:
        suite.deserialize_scalar(data)
    except EncodingError:
        return False
    return True
