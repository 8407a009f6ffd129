"""Where people stand with alerts: who may go from what to what, what is read back, what a record may be."""

import pytest
from msgspec.structs import replace

from m1cep.alert_states import CLOCKS_DIFFER_MS, AlertStates, Closing, State, change, parse_state
from m1cep.errors import AlertStateError

NOW = 1_800_000_000_000
ABOUT = ("spoofing", {"account": "ann"})


def step(known, to, now_ms=NOW, by="bob", **more):
    return change(known, "a1", to, by, now_ms, about=ABOUT, **more)


def test_an_alert_goes_from_open_over_acknowledged_to_closed_and_back():
    taken = step(None, State.ACKNOWLEDGED)
    closed = step(taken, State.CLOSED, note="false alarm")
    assert (closed.alert, closed.rule, closed.key, closed.note) == ("a1", *ABOUT, "false alarm")
    assert step(closed, State.OPEN).state is State.OPEN
    assert step(taken, State.OPEN).state is State.OPEN
    assert step(None, State.CLOSED).state is State.CLOSED


@pytest.mark.parametrize(
    ("before", "to", "says"),
    [
        ([], State.OPEN, "open already"),
        ([State.CLOSED], State.CLOSED, "closed already by bob"),
        ([State.ACKNOWLEDGED], State.ACKNOWLEDGED, "acknowledged already by bob"),
        ([State.CLOSED], State.ACKNOWLEDGED, "reopen it"),
    ],
)
def test_what_makes_no_sense_is_refused(before, to, says):
    known = None
    for state in before:
        known = step(known, state)
    with pytest.raises(AlertStateError, match=says):
        step(known, to)


def test_a_record_is_later_than_the_one_before_though_its_clock_is_not():
    first = step(None, State.ACKNOWLEDGED, NOW + 500)
    assert step(first, State.CLOSED, NOW).time_ms == NOW + 501
    lying = step(None, State.ACKNOWLEDGED, NOW + CLOCKS_DIFFER_MS + 1)
    assert step(lying, State.CLOSED, NOW).time_ms == NOW


def test_what_is_too_long_is_refused():
    for given in ({"note": "x" * 1_001}, {"by": ""}, {"by": "x" * 257}):
        with pytest.raises(AlertStateError, match="state of alert a1"):
            step(None, State.CLOSED, **given)


def test_the_last_record_counts_and_a_deleted_one_is_none():
    states = AlertStates()
    taken = step(None, State.ACKNOWLEDGED)
    for record in (taken, step(taken, State.CLOSED)):
        states.hear(b"a1", record.to_json())
    assert states.of("a1") is State.CLOSED
    assert states.of("a2") is State.OPEN
    assert states.hear(b"a1", None) is None
    assert states.of("a1") is State.OPEN


def test_a_record_reads_back_as_it_was_with_and_without_signatures():
    closed = step(None, State.CLOSED)
    assert b"signed" not in closed.to_json()
    assert parse_state(closed.to_json()) == closed
    signed = replace(closed, signed=(Closing("carol", NOW, "ab" * 64),))
    assert parse_state(signed.to_json()) == signed


@pytest.mark.parametrize(
    "value", [None, b"", b"[]", b"{", b"\xff", b'{"alert":"a"}', b'{"x":"' + b"y" * 70_000 + b'"}', b"[" * 60_000]
)
def test_what_is_no_record_changes_nothing(value):
    with pytest.raises(AlertStateError):
        parse_state(value)
    states = AlertStates()
    if value is not None:
        with pytest.raises(AlertStateError):
            states.hear(b"a1", value)
    assert states.last == {}
