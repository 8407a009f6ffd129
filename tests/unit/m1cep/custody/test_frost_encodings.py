"""What comes over the wire: points, scalars, envelopes. Right, or refused with the reason."""

from __future__ import annotations

from dataclasses import replace

import pytest
from frostworld import SUITES, dealt, identities, roster, seeded
from nacl.bindings import crypto_core_ed25519_add

from m1cep.custody.frost import ED25519, SECP256K1, TAPROOT
from m1cep.custody.frost.envelope import Envelope, Identity, Inbox, Purpose
from m1cep.custody.frost.errors import AuthenticityError, EncodingError, EpochError, MisbehaviourError, SignersError
from m1cep.custody.frost.hidden import Secret
from m1cep.custody.frost.keys import PublicKeys
from m1cep.custody.frost.secp256k1 import expand_message_xmd
from m1cep.custody.frost.sharing import derive_interpolating_value
from m1cep.custody.frost.signing import Commitment, SignatureShare, commit

_P = 2**255 - 19
_FIELD = 2**256 - 2**32 - 977
_LOW_ORDER = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"  # of order 8


@pytest.fixture(params=SUITES)
def suite(request):
    return SUITES[request.param]


@pytest.mark.parametrize(
    ("suite", "data", "reason"),
    [
        (ED25519, b"\x01" + bytes(31), "identity"),
        (ED25519, bytes(32), "prime-order subgroup"),  # order 4
        (ED25519, bytes.fromhex(_LOW_ORDER), "prime-order subgroup"),
        (ED25519, (_P + 3).to_bytes(32, "little"), "canonical"),
        (ED25519, b"\x01" + bytes(30) + b"\x80", "canonical"),  # the identity with a sign
        (ED25519, b"\x02" + bytes(31), "on the curve"),  # no x for it
        (ED25519, bytes(31), "32 bytes, not 31"),
        (ED25519, "1" * 32, "must be bytes, not str"),
        (SECP256K1, bytes(33), "identity"),
        (SECP256K1, b"\0", "33 bytes, not 1"),  # SEC 1's identity
        (SECP256K1, b"\x02" + (5).to_bytes(32, "big"), "on the curve"),  # no y for it
        (SECP256K1, b"\x02" + (_FIELD + 1).to_bytes(32, "big"), "on the curve"),  # x not reduced
        (SECP256K1, b"\x04" + SECP256K1.base_mul(SECP256K1.scalar(1))[1:], "compressed"),
        (SECP256K1, bytes(65), "33 bytes, not 65"),
        (TAPROOT, bytes(32), "33 bytes, not 32"),
    ],
)
def test_a_point_that_is_none_is_refused(suite, data, reason):
    with pytest.raises(EncodingError, match=reason):
        suite.deserialize_element(data)


def test_a_point_outside_the_prime_order_subgroup_is_refused():
    """A right point plus one of order eight: on the curve and canonical, and yet another point."""
    right = ED25519.base_mul(ED25519.scalar(5))
    mixed = crypto_core_ed25519_add(right, bytes.fromhex(_LOW_ORDER))
    assert mixed != right
    with pytest.raises(EncodingError, match="prime-order subgroup"):
        ED25519.deserialize_element(mixed)


def test_scalars_out_of_range_are_refused(suite):
    byteorder = "little" if suite is ED25519 else "big"
    for number in (0, suite.order, suite.order + 1, 2**256 - 1):
        with pytest.raises(EncodingError, match=r"zero|order") as raised:
            suite.deserialize_scalar(number.to_bytes(32, byteorder))
        assert str(number) not in str(raised.value)
    for number in (1, suite.order - 1):
        assert suite.deserialize_scalar(number.to_bytes(32, byteorder))
    for size in (0, 31, 33, 64):
        with pytest.raises(EncodingError, match=f"32 bytes, not {size}"):
            suite.deserialize_scalar(b"\x01" * size)


def test_arithmetic_is_modulo_the_order(suite):
    one, minus = suite.scalar(1), suite.scalar(-1)
    assert suite.scalar_add(one, minus) == bytes(32)
    assert suite.scalar_negate(one) == minus
    assert suite.scalar_mul(minus, minus) == one
    assert suite.scalar_add(bytes(32), one) == suite.scalar_add(one, bytes(32)) == one
    assert suite.scalar_mul(bytes(32), one) == bytes(32)
    assert suite.add([suite.base_mul(suite.scalar(n)) for n in (2, 3)]) == suite.base_mul(suite.scalar(5))
    assert suite.mul(suite.base_mul(suite.scalar(4)), suite.scalar(6)) == suite.base_mul(suite.scalar(24))


def test_the_identity_never_comes_out(suite):
    point = suite.base_mul(suite.scalar(3))
    for attempt in (
        lambda: suite.add([point, suite.base_mul(suite.scalar(-3))]),
        lambda: suite.base_mul(bytes(32)),
        lambda: suite.mul(point, bytes(32)),
    ):
        with pytest.raises(EncodingError, match="identity"):
            attempt()


def test_random_scalars_come_from_the_source_and_are_never_zero(suite):
    draws = iter([0, 0, 5])  # too small twice
    scalar = suite.random_scalar(lambda size: bytes([next(draws)]) * size)
    assert suite.deserialize_scalar(scalar) == scalar
    assert not list(draws)


def test_wide_hashes_are_reduced_as_python_would():
    for high in (0, 1, 2**128 - 1):
        for low in (0, 1, SECP256K1.order - 1, SECP256K1.order, 2**256 - 1):
            wide = high.to_bytes(16, "big") + low.to_bytes(32, "big")
            assert SECP256K1._reduce(wide) == SECP256K1.scalar(int.from_bytes(wide, "big"))


def test_messages_are_expanded_as_in_rfc_9380():
    """Appendix K.1."""
    tag = b"QUUX-V01-CS02-with-expander-SHA256-128"
    assert expand_message_xmd(b"", tag, 32).hex() == "68a985b87eb6b46952128911f2a4412bbc302a9d759667f87f7a21d803f07235"
    assert (
        expand_message_xmd(b"abc", tag, 32).hex() == "d8ccab23b5985ccea865c6c97b6e5b8350e794e603b4b97902f53a8a0d605615"
    )
    assert (
        expand_message_xmd(b"", tag, 0x80)
        .hex()
        .startswith("af84c27ccfd45d41914fdff5df25293e221afc53d8ad2ac06d5e3e29485dadbe")
    )


def test_interpolation_gives_the_value_at_any_point(suite):
    """3 x + 5 from its values at 2 and 7."""
    for at in (0, 1, 7, 11):
        weights = [derive_interpolating_value(suite, (2, 7), one, at=at) for one in (2, 7)]
        parts = [suite.scalar_mul(weight, suite.scalar(3 * x + 5)) for weight, x in zip(weights, (2, 7), strict=True)]
        assert suite.scalar_add(*parts) == suite.scalar(3 * at + 5)
    with pytest.raises(SignersError, match="signer 3 is not among the signers 2, 7"):
        derive_interpolating_value(suite, (2, 7), 3)
    for wrong in ((0, 1), (1, 65536)):
        with pytest.raises(SignersError, match="numbered 1 to 65535"):
            derive_interpolating_value(suite, wrong, 1)


def test_a_signature_that_is_malformed_does_not_verify(suite):
    group = suite.base_mul(suite.scalar(5))
    for signature in (b"", bytes(64), b"\xff" * 64, b"\xff" * 65, bytes(65)):
        assert suite.verify(group, b"m", signature) is False
        with pytest.raises(EncodingError):
            suite.decode_signature(signature)
    for key in (b"", bytes(suite.element_size), b"\xff" * suite.element_size):
        assert suite.verify(key, b"m", bytes(64)) is False


def test_messages_survive_their_encoding_and_name_their_suite(suite):
    key = dealt(suite, 2, (1, 2), seeded(0), epoch=7)
    _, commitment = commit(key[1], seeded(1))
    share = SignatureShare(2, 7, suite.scalar(9))
    for message, kind in ((commitment, Commitment), (share, SignatureShare)):
        data = message.encode(suite)
        assert kind.decode(suite, data) == message
        for other in SUITES.values():
            if other is not suite:
                with pytest.raises(EncodingError, match=f"must be of suite {other.name}"):
                    kind.decode(other, data)
        with pytest.raises(EncodingError, match="1 bytes too many"):
            kind.decode(suite, data + b"\0")
        with pytest.raises(EncodingError, match="ends after"):
            kind.decode(suite, data[:-1])
        with pytest.raises(EncodingError, match="names signer 0"):
            kind.decode(suite, data[:2] + bytes(2) + data[4:])
    with pytest.raises(EncodingError, match="another kind of message"):
        SignatureShare.decode(suite, commitment.encode(suite))
    with pytest.raises(EncodingError, match="must be bytes, not str"):
        SignatureShare.decode(suite, "no bytes")


def test_a_message_of_more_signers_than_there_can_be_is_refused_unread(suite):
    key = dealt(suite, 2, (1, 2), seeded(0))
    data = key[1].public.encode()
    place = 2 + 4 + 2 + suite.element_size
    with pytest.raises(EncodingError, match="of 256 signers; at most 255"):
        PublicKeys.decode(suite, data[:place] + b"\x01\x00" + data[place + 2 :])
    shares = dict.fromkeys(range(1, 257), key[1].public.group)
    with pytest.raises(SignersError, match="at most 255 signers share a key, not 256"):
        replace(key[1].public, shares=shares)


# envelopes

PEOPLE = identities((1, 2, 3), seeded("people"))
LETTER = Envelope(Purpose.COMMITMENT, b"a" * 32, 4, 2, 0, b"body")


def test_an_envelope_is_opened_as_it_was_sealed(suite):
    data = LETTER.seal(suite, PEOPLE[2])
    assert Envelope.open(suite, data, roster(PEOPLE)) == LETTER
    LETTER.check(ceremony=b"a" * 32, epoch=4, receiver=3)


def test_an_envelope_with_something_behind_it_is_refused():
    data = LETTER.seal(ED25519, PEOPLE[2])
    with pytest.raises(EncodingError, match="has 1 bytes too many"):
        Envelope.open(ED25519, data + b"\0", roster(PEOPLE))


def test_no_byte_of_an_envelope_can_be_changed():
    data = LETTER.seal(ED25519, PEOPLE[2])
    for place in range(len(data)):
        changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        with pytest.raises((EncodingError, AuthenticityError, SignersError)):
            Envelope.open(ED25519, changed, roster(PEOPLE))


def test_an_envelope_of_another_signer_or_a_stranger_is_refused():
    data = LETTER.seal(ED25519, PEOPLE[2])
    with pytest.raises(AuthenticityError, match="not signed by signer 2"):
        Envelope.open(ED25519, data, {2: PEOPLE[1].verify_key})
    with pytest.raises(SignersError, match="signer 2 is not in the roster, which has 1, 3"):
        Envelope.open(ED25519, data, roster({one: PEOPLE[one] for one in (1, 3)}))
    with pytest.raises(SignersError, match="signer 1 cannot sign as signer 2"):
        LETTER.seal(ED25519, PEOPLE[1])


def test_a_replay_from_another_ceremony_epoch_or_receiver_is_refused():
    with pytest.raises(AuthenticityError, match="of another ceremony"):
        LETTER.check(ceremony=b"b" * 32, epoch=4, receiver=3)
    with pytest.raises(EpochError, match="is of epoch 4, expected epoch 5; it is out of date"):
        LETTER.check(ceremony=b"a" * 32, epoch=5, receiver=3)
    with pytest.raises(AuthenticityError, match="for signer 1, not 3"):
        replace(LETTER, receiver=1).check(ceremony=b"a" * 32, epoch=4, receiver=3)
    replace(LETTER, receiver=3).check(ceremony=b"a" * 32, epoch=4, receiver=3)


def test_an_inbox_takes_each_message_once_and_names_who_says_two_things():
    inbox = Inbox(ED25519, roster(PEOPLE), ceremony=b"a" * 32, epoch=4, receiver=3)
    data = LETTER.seal(ED25519, PEOPLE[2])
    assert inbox.take(data) == LETTER
    assert inbox.take(data) is None
    other = replace(LETTER, body=b"another body")
    with pytest.raises(MisbehaviourError, match="two different messages of purpose COMMITMENT: signer 2") as raised:
        inbox.take(other.seal(ED25519, PEOPLE[2]))
    assert raised.value.culprits == (2,)
    assert inbox.take(replace(other, purpose=Purpose.SIGNATURE_SHARE).seal(ED25519, PEOPLE[2]))
    assert inbox.take(replace(other, sender=1).seal(ED25519, PEOPLE[1]))
    for strange in (replace(LETTER, ceremony=b"b" * 32), replace(LETTER, receiver=1)):
        with pytest.raises(AuthenticityError):
            inbox.take(strange.seal(ED25519, PEOPLE[2]))
    with pytest.raises(EpochError):
        inbox.take(replace(LETTER, epoch=3).seal(ED25519, PEOPLE[2]))
    assert inbox.bodies(Purpose.COMMITMENT) == {2: b"body", 1: b"another body"}
    assert inbox.bodies(Purpose.ROUND_ONE) == {}


def test_an_identity_needs_a_whole_seed_and_an_envelope_a_whole_name():
    with pytest.raises(EncodingError, match="seed of an identity must be 32 bytes, not 31"):
        Identity(1, Secret(bytes(31)))
    with pytest.raises(EncodingError, match="ceremony's name must be 32 bytes, not 1"):
        replace(LETTER, ceremony=b"a").seal(ED25519, PEOPLE[2])
