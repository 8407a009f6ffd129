"""Signing: any m of n, verified by libraries that know nothing of FROST; the wrong ones named; nonces once."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from itertools import combinations

import pytest
from coincurve import PublicKeyXOnly
from frostworld import SUITES, answered, committed, dealt, seeded, signed
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from m1cep.custody.frost import ED25519, SECP256K1, TAPROOT, taproot
from m1cep.custody.frost.binding import compute_binding_factors
from m1cep.custody.frost.errors import (
    EncodingError,
    EpochError,
    FrostError,
    MisbehaviourError,
    NonceError,
    SharesError,
    SignersError,
)
from m1cep.custody.frost.hidden import Secret
from m1cep.custody.frost.keys import KeyShare, PublicKeys
from m1cep.custody.frost.sharing import derive_interpolating_value
from m1cep.custody.frost.signing import (
    Nonces,
    aggregate,
    commit,
    sign,
    verify_signature_share,
)

MESSAGE = b"release 5 BTC to bc1q..., request 7, attempt 1".ljust(48)


@pytest.fixture(params=SUITES)
def suite(request):
    return SUITES[request.param]


@pytest.fixture
def shares(suite):
    return dealt(suite, 3, (1, 2, 5, 40, 65535), seeded("key"))


def is_valid(suite, group, message, signature):
    """By the library of the chain's own kind; plain secp256k1 has none, its own equation is used."""
    if suite is ED25519:
        try:
            return VerifyKey(group).verify(message, signature) == message
        except BadSignatureError:
            return False
    if suite is TAPROOT:
        return PublicKeyXOnly(group[1:]).verify(signature, message)
    return suite.verify(group, message, signature)


def test_every_three_of_five_sign_under_the_same_key(suite, shares):
    for number, signers in enumerate(combinations(shares, 3)):
        signature = signed(shares, signers, MESSAGE, seeded(number))
        assert is_valid(suite, shares[1].public.group, MESSAGE, signature)
        assert not is_valid(suite, shares[1].public.group, MESSAGE + b".", signature)


def test_more_signers_than_the_threshold_sign_too(suite, shares):
    for signers in ((1, 2, 5, 40), shares):
        assert is_valid(suite, shares[1].public.group, MESSAGE, signed(shares, signers, MESSAGE, seeded(0)))


def test_taproot_keys_and_nonces_of_either_parity_sign():
    parities = set()
    for seed in range(24):
        key = dealt(TAPROOT, 2, (1, 2, 3), seeded(seed))
        public = key[1].public
        commitments, answers = answered(key, (1, 3), MESSAGE, seeded((seed, "n")))
        factors = compute_binding_factors(TAPROOT, TAPROOT.even(public.group), commitments, MESSAGE)
        points = [one.hiding for one in commitments] + [
            TAPROOT.mul(one.binding, factors[one.identifier]) for one in commitments
        ]
        parities.add((public.group[0], TAPROOT.add(points)[0]))
        assert is_valid(TAPROOT, public.group, MESSAGE, aggregate(public, MESSAGE, commitments, answers))
        assert all(verify_signature_share(public, one, MESSAGE, commitments) for one in answers)
    assert parities == {(2, 2), (2, 3), (3, 2), (3, 3)}


@pytest.mark.parametrize("root", [b"", bytes(range(32))], ids=["no-script", "script"])
def test_a_tweaked_taproot_key_signs_for_the_output_key_of_bip341(root):
    for seed in range(6):
        key = dealt(TAPROOT, 2, (1, 2, 3), seeded(seed))
        tweaked = {signer: taproot.tweak_share(share, root) for signer, share in key.items()}
        for share in tweaked.values():
            share.check()
            share.public.check()
        output = PublicKeyXOnly(key[1].public.group[1:])
        output.tweak_add(taproot.tap_tweak(key[1].public, root))
        assert taproot.output_key(tweaked[1].public) == output.format()
        assert output.verify(signed(tweaked, (2, 3), MESSAGE, seeded(seed)), MESSAGE)


def test_the_tweak_is_that_of_bip341s_wallet_vectors():
    internal = bytes.fromhex("d6889cb081036e0faefa3a35157ad71086b123b2b144b649798b494c300a961d")
    key = dealt(TAPROOT, 2, (1, 2), seeded(0))
    public = replace(key[1].public, group=b"\x02" + internal)
    tweak = "b86e7be8f39bab32a6f2c0443abbc210f0edac0e2c53d501b36b64437d9c6c70"
    assert taproot.tap_tweak(public).hex() == tweak


def test_only_taproot_keys_are_tweaked():
    public = dealt(SECP256K1, 2, (1, 2), seeded(0))[1].public
    with pytest.raises(FrostError, match="only keys of suite FROST-secp256k1-SHA256-TR"):
        taproot.tweak_public(public)
    with pytest.raises(EncodingError, match="empty or 32 bytes, not 31"):
        taproot.tap_tweak(dealt(TAPROOT, 2, (1, 2), seeded(0))[1].public, bytes(31))


@pytest.mark.parametrize("culprits", [(1,), (5,), (2, 40)])
def test_a_tampered_share_is_blamed_on_its_signer(suite, shares, culprits):
    commitments, answers = answered(shares, (1, 2, 5, 40), MESSAGE, seeded(0))
    one = suite.scalar(1)
    bad = [
        replace(answer, response=suite.scalar_add(answer.response, one)) if answer.identifier in culprits else answer
        for answer in answers
    ]
    with pytest.raises(MisbehaviourError) as raised:
        aggregate(shares[1].public, MESSAGE, commitments, bad)
    assert raised.value.culprits == culprits
    for answer in bad:
        fits = verify_signature_share(shares[1].public, answer, MESSAGE, commitments)
        assert fits == (answer.identifier not in culprits)


def test_tampering_that_cancels_out_does_no_harm(suite, shares):
    commitments, answers = answered(shares, (1, 2, 5), MESSAGE, seeded(0))
    one = suite.scalar(1)
    answers[0] = replace(answers[0], response=suite.scalar_add(answers[0].response, one))
    answers[1] = replace(answers[1], response=suite.scalar_add(answers[1].response, suite.scalar_negate(one)))
    assert is_valid(suite, shares[1].public.group, MESSAGE, aggregate(shares[1].public, MESSAGE, commitments, answers))


def test_a_share_for_another_message_or_other_commitments_is_blamed(shares):
    nonces, commitments = committed(shares, (1, 2, 5), seeded(0))
    other = b"release 500 BTC"
    answers = [
        sign(shares[signer], made, other if signer == 2 else MESSAGE, commitments) for signer, made in nonces.items()
    ]
    with pytest.raises(MisbehaviourError) as raised:
        aggregate(shares[1].public, MESSAGE, commitments, answers)
    assert raised.value.culprits == (2,)


def test_a_malformed_response_or_commitment_is_blamed(suite, shares):
    commitments, answers = answered(shares, (1, 2, 5), MESSAGE, seeded(0))
    for response in (bytes(32), b"\xff" * 32, b"short"):
        with pytest.raises(MisbehaviourError) as raised:
            aggregate(shares[1].public, MESSAGE, commitments, [*answers[:2], replace(answers[2], response=response)])
        assert raised.value.culprits == (5,)
    for hiding in (b"\x01" + bytes(suite.element_size - 1), b"\xff" * suite.element_size, b""):
        bad = [commitments[0], replace(commitments[1], hiding=hiding), commitments[2]]
        with pytest.raises(MisbehaviourError) as raised:
            sign(shares[1], commit(shares[1], seeded(1))[0], MESSAGE, bad)
        assert raised.value.culprits == (2,)
        with pytest.raises(MisbehaviourError) as raised:
            sign(
                shares[2], commit(shares[2], seeded(1))[0], MESSAGE, [replace(commitments[0], binding=hiding), *bad[1:]]
            )
        assert raised.value.culprits == (1,)


def test_a_response_that_is_right_but_not_reduced_is_blamed():
    shares = dealt(ED25519, 2, (1, 2), seeded(0))
    commitments, answers = answered(shares, (1, 2), MESSAGE, seeded(0))
    number = int.from_bytes(answers[0].response, "little") + ED25519.order
    same = replace(answers[0], response=number.to_bytes(32, "little"))
    assert not verify_signature_share(shares[1].public, same, MESSAGE, commitments)
    with pytest.raises(MisbehaviourError) as raised:
        aggregate(shares[1].public, MESSAGE, commitments, [same, answers[1]])
    assert raised.value.culprits == (1,)


def test_public_keys_that_do_not_belong_together_are_found_when_no_signer_is_to_blame(suite, shares):
    public = replace(shares[1].public, group=suite.base_mul(suite.scalar(7)))
    mixed = {signer: replace(share, public=public) for signer, share in shares.items()}
    commitments, answers = answered(mixed, (1, 2, 5), MESSAGE, seeded(0))
    with pytest.raises(SharesError, match="do not belong together"):
        aggregate(public, MESSAGE, commitments, answers)
    with pytest.raises(SharesError, match="the group's is wrong"):
        public.check()


# who may sign


def test_too_few_repeated_and_unknown_signers_are_refused(shares):
    nonces, commitments = committed(shares, (1, 2, 5), seeded(0))
    with pytest.raises(SignersError, match="2 signers are too few; this key needs 3"):
        sign(shares[1], nonces[1], MESSAGE, commitments[:2])
    with pytest.raises(SignersError, match="2 comes more than once"):
        sign(shares[1], nonces[1], MESSAGE, [*commitments, commitments[1]])
    with pytest.raises(SignersError, match="no signer 3"):
        sign(shares[1], nonces[1], MESSAGE, [*commitments[:2], replace(commitments[2], identifier=3)])
    # none of these has used up the nonces
    assert sign(shares[1], nonces[1], MESSAGE, commitments)


def test_shares_that_are_missing_repeated_or_of_others_are_refused(shares):
    commitments, answers = answered(shares, (1, 2, 5), MESSAGE, seeded(0))
    public = shares[1].public
    with pytest.raises(SignersError, match=r"shares came from signers \[1, 2\]"):
        aggregate(public, MESSAGE, commitments, answers[:2])
    with pytest.raises(SignersError, match="2 comes more than once"):
        aggregate(public, MESSAGE, commitments, [*answers, answers[1]])
    with pytest.raises(SignersError, match=r"shares came from signers \[1, 2, 40\]"):
        aggregate(public, MESSAGE, commitments, [*answers[:2], replace(answers[2], identifier=40)])
    with pytest.raises(SignersError, match="signer 40 has not committed"):
        verify_signature_share(public, replace(answers[2], identifier=40), MESSAGE, commitments)


def test_what_is_of_another_epoch_is_refused(shares):
    nonces, commitments = committed(shares, (1, 2, 5), seeded(0))
    stale = [*commitments[:2], replace(commitments[2], epoch=1)]
    with pytest.raises(EpochError, match="signer 5 is of epoch 1, expected epoch 0") as raised:
        sign(shares[1], nonces[1], MESSAGE, stale)
    assert (raised.value.expected, raised.value.came) == (0, 1)
    answers = [sign(shares[signer], made, MESSAGE, commitments) for signer, made in nonces.items()]
    with pytest.raises(EpochError, match="signature share of signer 2"):
        aggregate(shares[1].public, MESSAGE, commitments, [answers[0], replace(answers[1], epoch=3), answers[2]])


@pytest.mark.parametrize(("threshold", "members"), [(1, 3), (4, 3), (0, 0), (2, 1)])
def test_a_threshold_that_cannot_be_is_refused(suite, threshold, members):
    points = {member: suite.base_mul(suite.scalar(member)) for member in range(1, members + 1)}
    with pytest.raises(SignersError, match="the threshold must be 2 to"):
        PublicKeys(suite, 0, threshold, suite.base_mul(suite.scalar(9)), points)


# nonces


def test_nonces_sign_once(shares):
    nonces, commitments = committed(shares, (1, 2, 5), seeded(0))
    sign(shares[1], nonces[1], MESSAGE, commitments)
    for message in (MESSAGE, b"another"):
        with pytest.raises(NonceError, match="signed already"):
            sign(shares[1], nonces[1], message, commitments)


def test_nonces_sign_only_for_the_list_that_has_their_own_commitment(shares):
    nonces, commitments = committed(shares, (1, 2, 5), seeded(0))
    swapped = [commit(shares[1], seeded(9))[1], *commitments[1:]]
    with pytest.raises(NonceError, match="does not have what signer 1 committed to"):
        sign(shares[1], nonces[1], MESSAGE, swapped)
    with pytest.raises(NonceError, match="does not have what signer 40 committed to"):
        sign(shares[40], commit(shares[40], seeded(9))[0], MESSAGE, commitments)


def test_nonces_depend_on_the_share_so_that_equal_randomness_gives_other_nonces(shares):
    first, second = (commit(shares[signer], seeded("broken"))[1] for signer in (1, 2))
    assert first.hiding != second.hiding
    assert first.hiding != first.binding


def test_a_source_that_gives_too_few_random_bytes_is_refused(shares):
    with pytest.raises(EncodingError, match="gave 31 bytes, 32 were asked for"):
        commit(shares[1], lambda size: bytes(size - 1))


def test_a_nonce_pair_used_three_times_gives_the_key_share_away(suite, shares):
    """Why there is a guard: without it, three answers are three equations with three unknowns."""
    nonces, commitments = committed(shares, (1, 2, 5), seeded(0))
    hiding, binding = nonces[1].take()
    order, public = suite.order, shares[1].public
    number = int_of(suite)
    rows = []
    for message in (b"one", b"two", b"three"):
        around_the_guard = Nonces(hiding, binding, nonces[1].commitment)
        answer = sign(shares[1], around_the_guard, message, commitments)
        # response = s (hiding + factor binding) + p weight share, with signs s, p known to everybody
        group = suite.even(public.group)
        factors = compute_binding_factors(suite, group, commitments, message)
        points = [one.hiding for one in commitments]
        points += [suite.mul(one.binding, factors[one.identifier]) for one in commitments]
        total = suite.add(points)
        s, p = (1 if suite.even(point) == point else -1 for point in (total, public.group))
        challenge = number(suite.challenge(suite.even(total), group, message))
        weight = number(derive_interpolating_value(suite, (1, 2, 5), 1)) * challenge
        rows.append([s, s * number(factors[1]), p * weight, number(answer.response)])
    assert suite.scalar(solved(rows, order)[2]) == shares[1].secret.reveal()


def int_of(suite):
    return lambda scalar: int.from_bytes(scalar, "little" if suite is ED25519 else "big")


def solved(rows, order):
    """Three equations modulo a prime, by elimination."""
    rows = [[value % order for value in row] for row in rows]
    for column in range(3):
        pivot = next(row for row in rows[column:] if row[column])
        rows.remove(pivot)
        scale = pow(pivot[column], -1, order)
        pivot = [value * scale % order for value in pivot]
        rows.insert(column, pivot)
        for place, row in enumerate(rows):
            if place != column:
                rows[place] = [(a - row[column] * b) % order for a, b in zip(row, pivot, strict=True)]
    return [row[3] for row in rows]


# what must not be seen


def test_secrets_show_in_no_repr_no_pickle_and_no_copy(shares):
    share = shares[1]
    nonces, _ = commit(share, seeded(0))
    for hidden in (share, share.secret, nonces):
        shown = f"{hidden} {hidden!r} {[hidden]}"
        assert "hidden" in shown
        assert share.secret.reveal().hex() not in shown
        assert repr(share.secret.reveal())[2:-1] not in shown
        for way in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="not copied nor pickled"):
                way(hidden)
    with pytest.raises(TypeError, match="unhashable"):
        hash(share.secret)


def test_no_error_carries_the_secret(suite, shares):
    share = shares[1]
    nonces, commitments = committed(shares, (1, 2, 5), seeded(0))
    told = []
    wrong = KeyShare(2, share.secret, share.public)
    unknown = KeyShare(3, share.secret, share.public)
    for attempt in (
        wrong.check,
        unknown.check,
        lambda: KeyShare.decode(suite, share.encode()[:40]),
        lambda: KeyShare.decode(suite, share.encode() + b"."),
        lambda: KeyShare.decode(suite, share.encode().replace(share.secret.reveal(), b"\xff" * 32)),
        lambda: sign(share, nonces[1], MESSAGE, commitments[:2]),
    ):
        with pytest.raises(FrostError) as raised:
            attempt()
        told.append(str(raised.value) + repr(raised.value))
    secret = share.secret.reveal()
    for text in told:
        assert secret.hex() not in text
        assert repr(secret)[2:-1] not in text


def test_a_stored_share_is_what_it_was_and_another_secret_is_found(suite, shares):
    share = shares[5]
    again = KeyShare.decode(suite, share.encode())
    assert again == share
    assert again.secret == share.secret
    other = shares[2].secret.reveal()
    with pytest.raises(SharesError, match="the secret is not that of signer 5, epoch 0"):
        KeyShare.decode(suite, share.encode().replace(share.secret.reveal(), other))
    assert share.secret != Secret(other)


def test_public_keys_with_one_share_swapped_are_found(suite, shares):
    public = shares[1].public
    mixed = replace(public, shares={**public.shares, 40: public.shares[5]})
    with pytest.raises(SharesError, match="signer 40's is wrong"):
        PublicKeys.decode(suite, mixed.encode())


def test_public_keys_whose_group_would_be_the_identity_are_found(suite):
    """Both are on a line through zero."""
    points = {one: suite.base_mul(suite.scalar(one)) for one in (1, 2)}
    with pytest.raises(SharesError, match="the group's is wrong"):
        PublicKeys(suite, 0, 2, points[1], points).check()


def test_public_keys_have_one_encoding(suite):
    public = dealt(suite, 2, (1, 2), seeded(0))[1].public
    data, size = public.encode(), 2 + suite.element_size
    with pytest.raises(EncodingError, match="ascending, each once"):
        PublicKeys.decode(suite, data[: -2 * size] + data[-size:] + data[-2 * size : -size])
