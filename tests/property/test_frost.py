"""For any members, threshold and message: signatures verify, spoilt ones are blamed; any bytes are parsed or refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from coincurve import PublicKeyXOnly
from frostworld import SUITES, Run, answered, dealt, identities, roster, seeded, signed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nacl.signing import VerifyKey

from m1cep.custody.frost import ED25519, TAPROOT
from m1cep.custody.frost.ceremony import Pending, RoundOne
from m1cep.custody.frost.envelope import Envelope, Purpose
from m1cep.custody.frost.errors import FrostError, MisbehaviourError
from m1cep.custody.frost.keys import KeyShare, PublicKeys
from m1cep.custody.frost.recovery import secret_share_combine
from m1cep.custody.frost.repair import Repair, Split, add_parts, combine, split
from m1cep.custody.frost.signing import Commitment, SignatureShare, aggregate, commit
from m1cep.custody.frost.terms import new_key, reshare

EXAMPLES = 25
PEOPLE = identities(range(1, 10), seeded("people"))
suites = st.sampled_from(list(SUITES.values()))


@st.composite
def quorums(draw, largest=6):
    """A threshold, members, and some of them, at least as many as the threshold."""
    members = draw(st.lists(st.integers(1, 65535), min_size=2, max_size=largest, unique=True))
    threshold = draw(st.integers(2, len(members)))
    chosen = draw(st.permutations(members))[: draw(st.integers(threshold, len(members)))]
    return threshold, members, chosen


@settings(max_examples=EXAMPLES, deadline=None)
@given(suites, quorums(), st.binary(max_size=200), st.integers())
def test_any_quorum_signs_anything_and_others_verify_it(suite, quorum, message, seed):
    threshold, members, chosen = quorum
    key = dealt(suite, threshold, members, seeded(seed))
    group, signature = key[members[0]].public.group, signed(key, chosen, message, seeded((seed, 1)))
    if suite is ED25519:
        VerifyKey(group).verify(message, signature)
    elif suite is TAPROOT:
        assert PublicKeyXOnly(group[1:]).verify(signature, message)
    else:
        assert suite.verify(group, message, signature)
    assert not suite.verify(group, message + b"\0", signature)


@settings(max_examples=EXAMPLES, deadline=None)
@given(suites, quorums(), st.data())
def test_whoever_changes_its_answer_is_named_and_nobody_else(suite, quorum, data):
    threshold, members, chosen = quorum
    key = dealt(suite, threshold, members, seeded(0))
    commitments, answers = answered(key, chosen, b"message", seeded(1))
    culprits = data.draw(st.sets(st.sampled_from(chosen), min_size=1))
    answers = [
        replace(one, response=suite.scalar(data.draw(st.integers(1, suite.order - 1))))
        if one.identifier in culprits
        else one
        for one in answers
    ]
    with pytest.raises(MisbehaviourError) as raised:
        aggregate(key[members[0]].public, b"message", commitments, answers)
    assert set(raised.value.culprits) == culprits


@settings(max_examples=12, deadline=None)
@given(suites, st.data())
def test_a_key_survives_any_chain_of_reshares_and_repairs(suite, data):
    small = st.lists(st.integers(1, 9), min_size=2, max_size=4, unique=True)
    members = data.draw(small)
    random = seeded(repr(members))
    terms = new_key(suite, random(32), data.draw(st.integers(2, len(members))), _people(members))
    key = Run(terms, random).whole(PEOPLE)
    group = key[members[0]].public.group
    for epoch in range(1, data.draw(st.integers(1, 3)) + 1):
        public = next(iter(key.values())).public
        dealers = data.draw(st.permutations(list(key)))[: public.threshold]
        receivers = data.draw(small)
        threshold = data.draw(st.integers(2, len(receivers)))
        terms = reshare(public, random(32), threshold, receivers, dealers, _people({*receivers, *dealers}))
        key = Run(terms, random, key).whole(PEOPLE)
        public = next(iter(key.values())).public
        public.check()
        assert (public.group, public.epoch) == (group, epoch)
    quorum = data.draw(st.permutations(list(key)))[: public.threshold]
    assert suite.verify(suite.even(group), b"message", signed(key, quorum, b"message", random))
    assert suite.base_mul(secret_share_combine([key[one] for one in quorum]).reveal()) == group
    if lost := [one for one in key if one not in quorum]:
        assert _repaired(key, quorum, lost[0], random) == key[lost[0]]


def _people(members):
    return roster({member: PEOPLE[member] for member in members})


def _repaired(key, helpers, lost, random):
    repair = Repair(key[helpers[0]].public, helpers, lost)
    made = {helper: split(repair, key[helper], random) for helper in helpers}
    splits = {helper: published for helper, (published, _) in made.items()}
    sums = {
        helper: add_parts(repair, helper, splits, {sender: parts[helper] for sender, (_, parts) in made.items()})
        for helper in helpers
    }
    return combine(repair, splits, sums)


# parsers


def _right(suite):
    key = dealt(suite, 2, (1, 2, 3), seeded("parsers"))
    run = Run(new_key(suite, bytes(32), 2, _people((1, 2))), seeded(0))
    nonces, commitment = commit(key[1], seeded(0))
    assert nonces
    envelope = Envelope(Purpose.COMMITMENT, bytes(32), 0, 1, 0, b"body").seal(suite, PEOPLE[1])
    splits = split(Repair(key[1].public, (1, 2), 3), key[1], seeded(0))[0]
    known = _people(range(1, 10))
    return {
        "commitment": (commitment.encode(suite), lambda data: Commitment.decode(suite, data).encode(suite)),
        "signature share": (
            SignatureShare(1, 0, suite.scalar(5)).encode(suite),
            lambda data: SignatureShare.decode(suite, data).encode(suite),
        ),
        "public keys": (key[1].public.encode(), lambda data: PublicKeys.decode(suite, data).encode()),
        "key share": (key[1].encode(), lambda data: KeyShare.decode(suite, data).encode()),
        "pending": (
            Pending(bytes(32), key[1]).encode(),
            lambda data: Pending.decode(suite, data).encode(),
        ),
        "round one": (run.first[1].encode(suite), lambda data: RoundOne.decode(suite, data).encode(suite)),
        "split": (splits.encode(suite), lambda data: Split.decode(suite, data).encode(suite)),
        "envelope": (
            envelope,
            lambda data: (opened := Envelope.open(suite, data, known)).seal(suite, PEOPLE[opened.sender]),
        ),
    }


RIGHT = {suite.name: _right(suite) for suite in SUITES.values()}
parsers = pytest.mark.parametrize(("suite", "what"), [(suite, what) for suite in RIGHT for what in RIGHT[suite]])


def _parsed_or_refused(parse, data):
    """Nothing else may come of bytes: no other exception, no second encoding of a value."""
    try:
        again = parse(data)
    except FrostError:
        return
    assert again == data


@parsers
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
@given(data=st.binary(max_size=300))
def test_any_bytes_are_parsed_or_refused(suite, what, data):
    right, parse = RIGHT[suite][what]
    _parsed_or_refused(parse, data)
    _parsed_or_refused(parse, right[:2] + data)  # past kind and suite


@parsers
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
@given(random=st.randoms(use_true_random=False))
def test_right_bytes_with_some_changed_are_parsed_or_refused(suite, what, random):
    right, parse = RIGHT[suite][what]
    assert parse(right) == right
    data = bytearray(right)
    for _ in range(random.randint(1, 3)):
        place = random.randrange(len(data))
        way = random.randrange(4)
        if way == 0:
            data[place] = random.randrange(256)
        elif way == 1:
            del data[place : place + random.randint(1, 40)]
        elif way == 2:
            data[place:place] = random.randbytes(random.randint(1, 40))
        else:
            data[place : place + 2] = random.choice((b"\0\0", b"\xff\xff", b"\0\1"))
        if not data:
            break
    _parsed_or_refused(parse, bytes(data))
