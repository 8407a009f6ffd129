"""Any bytes into every parser of what other parties send: a value that says the same, or a refusal; never anything else."""

import functools
import os
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from custodians import Custodians
from hypothesis import given, settings
from hypothesis import strategies as st

from m1cep.custody.frost import several
from m1cep.errors import CustodyError
from streams.custody import rites
from streams.custody.mail import RELEASES, ROUNDS, open_letter, outside, signer_topic
from streams.custody.rites import Enclosed, Failed, Start
from streams.custody.shares import commitments_of

CASES = int(os.environ.get("M1CEP_CASES", "150"))
NAMES = st.text("0123456789abcdef", min_size=64, max_size=64)
NUMBERS = st.integers(1, 255)
SOME = st.lists(NUMBERS, max_size=6).map(tuple)
WORDS = st.one_of(
    st.builds(Start, NAMES, st.just("sol"), NUMBERS, SOME, SOME, st.integers(0, 2**53 - 1), st.binary(max_size=300)),
    st.builds(Enclosed, NAMES, st.binary(max_size=300), st.booleans()),
    st.builds(Failed, NAMES, st.text(max_size=100)),
)


@functools.cache
def world():
    """Two signers with a key."""
    folder = tempfile.mkdtemp(prefix="m1cep-test-")
    made = Custodians(Path(folder), signers=2, threshold=2, vaults=("sol",))
    made.new_key("sol")
    return made


def record(value):
    return SimpleNamespace(offset=0, timestamp=0, key=b"k", value=value, headers=[])


@settings(max_examples=CASES, deadline=None)
@given(WORDS)
def test_what_was_said_is_what_is_heard(words):
    assert rites.decode(rites.encode(words)) == words


@settings(max_examples=CASES, deadline=None)
@given(st.one_of(st.text(max_size=300), WORDS.map(rites.encode)), st.integers(0, 400), st.characters())
def test_any_words_are_words_or_refused(body, at, character):
    for text in (body, body[:at], body[:at] + character + body[at + 1 :]):
        try:
            words = rites.decode(text)
        except CustodyError:
            continue
        assert rites.decode(rites.encode(words)) == words


def test_words_that_are_too_long_are_refused():
    with pytest.raises(CustodyError, match="at most"):
        rites.decode(" " * (rites.MOST_BYTES + 1))


@settings(max_examples=CASES, deadline=None)
@given(WORDS, st.sampled_from(["coordinator", "chains", "signer-1", "signer-2"]), st.sampled_from([ROUNDS, RELEASES]))
def test_a_signer_goes_on_whatever_is_said_to_it_and_keeps_its_share(words, sender, topic):
    made = world()
    pen = made.pens.get(sender) or made.signer(int(sender[7:]))._pen
    before = made.file(1).held["sol"].share.public
    for about in ("ceremony", "request", "fact", "weather"):
        message = pen.write(topic, "sol", about, rites.encode(words))
        made.signer(1).take(topic, 0, record(message.value))
    assert made.file(1).held["sol"].share.public == before


@settings(max_examples=CASES, deadline=None)
@given(st.binary(max_size=400))
def test_a_signer_goes_on_whatever_bytes_come(data):
    made = world()
    for topic in (ROUNDS, RELEASES, signer_topic(1)):
        assert made.signer(1).take(topic, 0, record(data)) == []


@settings(max_examples=CASES, deadline=None)
@given(st.integers(0, 800), st.integers(0, 255))
def test_a_letter_with_one_byte_changed_is_refused_or_the_same_letter(at, byte):
    made = world()
    whole = made.pens["chains"].write(ROUNDS, "k", "fact", "{}").value
    changed = bytearray(whole)
    changed[at % len(whole)] = byte
    try:
        letter = open_letter(bytes(changed), made.roster.keys)
    except CustodyError:
        return
    assert letter == open_letter(whole, made.roster.keys)
    assert outside(bytes(changed)) == ("chains", "fact")


@settings(max_examples=CASES, deadline=None)
@given(st.lists(st.binary(max_size=40), min_size=1, max_size=5), st.integers(0, 6), st.binary(max_size=60))
def test_several_byte_strings_come_apart_as_they_went_together(parts, count, junk):
    joined = several.join(parts)
    assert several.split("it", joined, len(parts)) == parts
    for data in (junk, joined + junk, joined[: len(junk)]):
        try:
            found = several.split("it", data, count)
        except CustodyError:
            continue
        assert several.join(found) == data


@settings(max_examples=CASES, deadline=None)
@given(st.dictionaries(NUMBERS, st.binary(max_size=120), max_size=3), st.integers(1, 3))
def test_commitments_are_commitments_or_refused(said, count):
    from m1cep.custody.frost import ED25519

    try:
        found = commitments_of(ED25519, said, count)
    except CustodyError:
        return
    assert not said or len(found) == count
