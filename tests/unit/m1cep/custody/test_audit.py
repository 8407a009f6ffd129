"""The audit log says where it was touched."""

import json
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m1cep.custody.audit import AuditLog, Break, Head, verify
from m1cep.custody.canonical import canonical, digest
from m1cep.errors import CustodyError


def written(name="vault", count=5):
    log = AuditLog(name)
    lines = [log.append("state", {"request": f"w-{n}", "n": n}, 1_000 + n).line() for n in range(count)]
    return log, lines


def sign(message):
    return sha256(b"key" + message).digest()


def signed_by_group(message, signature):
    return sign(message) == signature


def test_a_log_that_nobody_touched_verifies_up_to_its_head():
    log, lines = written()
    assert verify("vault", lines) == log.head
    assert log.head.seq == 5


def test_an_empty_log_verifies():
    assert verify("vault", []) == AuditLog("vault").head


def changed(lines, at, **fields):
    entry = json.loads(lines[at]) | fields
    return [*lines[:at], canonical(entry), *lines[at + 1 :]]


@pytest.mark.parametrize(
    ("harm", "seq", "reason"),
    [
        (lambda lines: changed(lines, 2, body={"request": "w-9"}), 3, "was changed"),
        (lambda lines: changed(lines, 2, time_ms=1_001), 3, "was changed"),
        (lambda lines: changed(lines, 2, hash="0" * 64), 3, "was changed"),
        (lambda lines: lines[:1] + lines[2:], 2, "expected entry 2, got entry 3"),
        (lambda lines: [lines[0], lines[0], *lines[1:]], 2, "expected entry 2, got entry 1"),
        (lambda lines: [lines[1], lines[0]], 1, "expected entry 1, got entry 2"),
        (lambda lines: [*lines[:3], b"{", *lines[4:]], 4, "cannot be read"),
        (lambda lines: [*lines[:3], b"\xff", *lines[4:]], 4, "cannot be read"),
        (lambda lines: [lines[0].replace(b",", b", ", 1)], 1, "was changed"),
        (lambda lines: [*lines, *written("other", 6)[1][5:]], 6, "does not follow"),
    ],
)
def test_verify_names_the_first_entry_that_was_touched(harm, seq, reason):
    found = verify("vault", harm(written()[1]))
    assert isinstance(found, Break)
    assert found.seq == seq
    assert reason in found.reason


@given(at=st.integers(0, 4), where=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_no_byte_can_be_changed_unseen(at, where, byte):
    lines = written()[1]
    line = bytearray(lines[at])
    if line[where % len(line)] == byte:
        return
    line[where % len(line)] = byte
    assert isinstance(verify("vault", [*lines[:at], bytes(line), *lines[at + 1 :]]), Break)


def test_a_log_written_anew_does_not_fit_a_signed_head():
    log, _ = written()
    heads = [(log.head, sign(log.head.message()))]
    other = AuditLog("vault")
    anew = [other.append("state", {"request": "mine"}, 1_000 + n).line() for n in range(6)]
    assert isinstance(verify("vault", anew), Head)
    found = verify("vault", anew, heads, signed_by_group)
    assert found == Break(5, "entry 5 is not the one whose head was signed")


def test_a_log_cut_short_does_not_reach_its_signed_head():
    log, lines = written()
    found = verify("vault", lines[:3], [(log.head, sign(log.head.message()))], signed_by_group)
    assert found == Break(4, "the log ends at entry 3, and a signed head names entry 5")


def test_a_head_that_the_group_key_did_not_sign_is_refused():
    log, lines = written()
    assert isinstance(verify("vault", lines, [(log.head, b"?")], signed_by_group), Break)
    assert isinstance(verify("vault", lines, [(log.head, b"?")]), Break)
    assert verify("vault", lines, [(log.head, sign(log.head.message()))], signed_by_group) == log.head


def test_entries_of_one_log_do_not_fit_another():
    _, lines = written()
    assert isinstance(verify("other", lines), Break)


def test_a_log_goes_on_from_its_head():
    log, lines = written()
    again = AuditLog("vault", log.head)
    lines.append(again.append("state", {}, 5).line())  # a clock that went back
    assert verify("vault", lines) == again.head
    with pytest.raises(CustodyError, match="head of log"):
        AuditLog("other", log.head)


@pytest.mark.parametrize("body", [{"x": 1.5}, {"x": b"k"}, {"x": 2**53}, {"é": 1}, {"x": "\ud800"}, {1: 2}])
def test_what_readers_would_write_differently_is_refused(body):
    with pytest.raises(CustodyError):
        AuditLog("vault").append("state", body, 1)


def test_canonical_text_does_not_depend_on_order():
    assert (
        canonical({"b": [1, None], "a": "é"})
        == '{"a":"é","b":[1,null]}'.encode()
        == canonical({"a": "é", "b": [1, None]})
    )
    assert digest("a", {}) != digest("b", {})
    deep = []
    for _ in range(100):
        deep = [deep]
    with pytest.raises(CustodyError, match="nested"):
        canonical(deep)
