"""How far the demo's feeder goes ahead of the worker, and how the demo starts workers."""

import orjson
import pytest

from streams.demo import command
from streams.demo.feeder import FeedOptions, Pace


@pytest.fixture
def told(tmp_path):
    """A pace, and a function that writes what the worker says of itself."""
    file = tmp_path / "stats.json"
    pace = Pace(FeedOptions("", None, "", str(file), ahead=100, most_ahead=150))

    def tell(time_s, records, lag):
        risk = {"records": records, "lag_total": lag}
        file.write_bytes(orjson.dumps({"time_s": time_s, "agents": {"risk": risk}}))

    return pace, tell


def waits(pace, sent):
    """Whether the feeder is held back, having sent so many."""
    looks = []

    class Stop(list):
        def __bool__(self):
            looks.append(1)
            return len(looks) > 1

    pace.wait(0, sent, Stop())
    return len(looks) > 1


def test_a_worker_that_is_about_to_wait_gets_more_up_to_a_bound_and_a_busy_one_less(told):
    pace, tell = told
    assert not waits(pace, 100)  # nothing is known of the worker yet
    assert waits(pace, 101)
    for n in range(200):
        tell(n, 1_000, 0)
        waits(pace, 1_000)
    assert not waits(pace, 1_150)
    assert waits(pace, 1_151)
    for n in range(200, 400):
        tell(n, 1_000, 10_000)
        waits(pace, 1_000)
    assert not waits(pace, 1_100)
    assert waits(pace, 1_101)


def test_the_same_word_of_the_worker_counts_once(told):
    pace, tell = told
    tell(1, 1_000, 0)
    for _ in range(100):
        waits(pace, 1_000)
    assert waits(pace, 1_110)


def test_workers_for_whom_nobody_waits_ask_the_broker_seldom_and_give_way():
    made = command.worker("ledger", "--chart", "c", nice=10)
    assert made[:3] == ["nice", "-n", "10"]
    assert made[made.index("--fetch-wait-ms") + 1] == str(command.CALM_WAIT_MS)
    assert made[-2:] == ["--chart", "c"]
    assert command.worker("risk", fetch_wait_ms=20)[0] != "nice"
