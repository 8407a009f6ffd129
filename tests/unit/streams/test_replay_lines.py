"""What counts as a line of a replayed file, and its number; over more than one batch of lines."""

import io
import json

import pytest

import m1cep
from m1cep.model.decode import MAX_RECORD_BYTES
from streams.errors import ShellError
from streams.files import load_streams
from streams.replay import BATCH_BYTES, replay

STREAMS = load_streams()
RULE = m1cep.compile_rule("SELECT account FROM orders", STREAMS, "all")
ORDER = {"account": "a", "order_id": "o", "symbol": "B", "action": "new", "side": "buy", "price": 1.0, "qty": 2.0}


def line(number, **changes):
    return json.dumps({"event_id": f"e{number}"} | ORDER | {"ts": number} | changes).encode()


def run(content, **options):
    alerts, letters = [], []
    on = {"on_alert": alerts.append, "on_dead_letter": lambda letter: letters.append(json.loads(letter))}
    counts = replay([RULE], {"orders": (STREAMS["orders"], io.BytesIO(content))}, **on, **options)
    return counts, [event for alert in alerts for event in alert.events], letters


MANY = 3 * BATCH_BYTES // len(line(1))  # lines of more than two batches


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_every_line_is_an_event_also_a_last_one_without_its_end(end, last):
    content = end.join(line(n) for n in range(MANY)) + (end if last else b"")
    counts, found, letters = run(content)
    assert found == [f"e{n}" for n in range(MANY)]
    assert (counts.events, letters) == (MANY, [])


def test_a_bad_line_far_down_is_reported_by_its_number_and_blank_ones_count():
    content = [line(n) for n in range(MANY)]
    content[MANY - 3] = b"nonsense"
    content[10] = b"  "
    content[11] = b""
    content[MANY - 2] = line(1)  # late
    _, found, letters = run(b"\r\n".join(content))
    assert len(found) == MANY - 4
    assert [(letter["line"], letter["column"]) for letter in letters] == [(MANY - 2, None), (MANY - 1, "ts")]


def test_an_object_over_two_lines_is_two_bad_lines_even_next_to_two_objects_on_one():
    split = line(3).replace(b", ", b",\n", 1)
    _, found, letters = run(b"\n".join([line(1), line(2) + line(2), split, line(4)]))
    assert found == ["e1", "e4"]
    assert [letter["line"] for letter in letters] == [2, 3, 4]


@pytest.mark.parametrize("where", [0, 1, 2])
def test_a_line_longer_than_a_record_may_be_is_bad_wherever_it_stands(where):
    content = [line(n) for n in range(3)]
    content[where] = line(where, order_id="x" * MAX_RECORD_BYTES)
    counts, found, [letter] = run(b"\n".join(content))
    assert counts.dead_letters == 1
    assert found == [f"e{n}" for n in range(3) if n != where]
    assert letter["line"] == where + 1
    assert letter["reason"].startswith("expected at most 1048576 bytes")


def test_strict_names_the_line():
    with pytest.raises(ShellError, match=f"line {MANY} of stream orders"):
        run(b"\n".join([*(line(n) for n in range(MANY - 1)), b"nonsense"]), strict=True)


def test_bytes_are_counted_for_the_progress_bar():
    seen = []
    content = b"\n".join(line(n) for n in range(MANY))
    run(content, on_bytes=seen.append)
    assert sum(seen) == len(content)
    assert len(seen) > 2


def test_repetitions_are_dropped_when_asked_and_other_lines_keep_their_numbers():
    content = b"\n".join([line(505), line(506), line(505), line(506), line(1), line(507)])
    counts, found, letters = run(content, seen=10)
    assert found == ["e505", "e506", "e507"]
    assert (counts.duplicates, [letter["line"] for letter in letters]) == (2, [5])
    counts, found, letters = run(content)
    assert (counts.duplicates, sorted(found)) == (0, ["e505", "e505", "e506", "e506", "e507"])
