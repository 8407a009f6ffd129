"""What flows when, without a broker: time in silence, what is not read for now, how much is read at once."""

from faust.types import TP

from streams.agents.ahead import Ahead
from streams.agents.clock import SilenceClock
from streams.agents.flow import Flow
from streams.agents.idle import IdleWatch
from streams.agents.pace import Pace
from streams.agents.stats import AgentStats
from streams.transport import EndOfPartition

A, B = TP("a", 0), TP("b", 0)


# -- time in silence. Silence 5 s; event times and clocks in seconds


class Clock(SilenceClock):
    """Looks every 0.1 s from one step to the next, as the worker does."""

    def __init__(self, *partitions, silence_s=5.0):
        super().__init__(silence_s)
        self.now_s = 0.0
        self.start(dict.fromkeys(partitions), 0.0, partitions)

    def at(self, now_s, partition=None, newest_s=None, *, live=True):
        while self.now_s < now_s:
            self.now_s = round(min(now_s, self.now_s + 0.1), 1)
            self.look(self.now_s)
        if partition is not None:
            self.heard(partition, newest_s * 1_000_000, now_s, live=live)
        return self

    def time_s(self, partition, confirmed_s=None):
        time_us = self.time_us(partition, self.now_s if confirmed_s is None else confirmed_s, self.now_s)
        return None if time_us is None else time_us / 1e6


def test_a_silent_partition_goes_on_by_itself_as_far_behind_as_an_event_may_be_under_way():
    clock = Clock(0).at(1, 0, 1000)
    assert clock.at(5.9).time_s(0) is None
    assert clock.at(6).time_s(0) == 1000
    assert clock.at(9).time_s(0) == 1003
    assert clock.at(9.5, 0, 1001).time_s(0) is None  # it has spoken


def test_where_events_do_not_come_as_they_happen_a_clock_says_nothing_of_their_time():
    clock = Clock(0, 1).at(1, 0, 1000, live=False)
    assert clock.at(60).time_s(0) == 1000
    for now_s in range(61, 71):
        clock.at(now_s, 1, 2000 + now_s, live=False)
    assert clock.time_s(0) == 2064  # others still say


def test_a_partition_that_never_had_an_event_has_no_time():
    assert Clock(0).at(60).time_s(0) is None


def test_a_silent_partition_goes_on_to_where_the_others_were_when_silence_began_to_count():
    clock = Clock(0, 1).at(1, 0, 1000).at(1, 1, 1000)
    for now_s in range(2, 31):
        clock.at(now_s, 1, 1000 + 60 * now_s)  # a minute of events each second: a backlog
    assert 1000 + 60 * 24 <= clock.time_s(0) <= 1000 + 60 * 25


def test_of_the_others_the_one_that_is_behind_decides():
    clock = Clock(0, 1, 2).at(1, 0, 1000)
    for now_s in range(2, 31):
        clock.at(now_s, 1, 1000 + now_s).at(now_s, 2, 10**9)  # somebody's clock is wrong
    assert 1024 <= clock.time_s(0) <= 1025


def test_time_does_not_go_on_while_the_broker_confirms_nothing():
    clock = Clock(0).at(1, 0, 1000).at(60)
    assert clock.time_s(0, confirmed_s=8) == 1002
    assert clock.time_s(0, confirmed_s=3) is None


def test_after_a_restart_and_after_a_sleep_of_the_process_silence_counts_anew():
    clock = Clock(0).at(1, 0, 1000).at(30)
    clock.start({0: 1_000_000_000}, 30, {0})
    assert clock.at(34.9).time_s(0) is None
    assert clock.at(36).time_s(0) == 1001
    clock.now_s = 100  # nobody has looked for a minute
    assert clock.at(100.1).time_s(0) is None
    assert clock.at(106.1).time_s(0) == 1001


def test_without_a_silence_time_stands_still():
    assert Clock(0, silence_s=0).at(1, 0, 1000).at(60).time_s(0) is None


def test_silence_is_confirmed_when_every_topic_is_idle_and_as_of_the_oldest_answer():
    idle = IdleWatch(0.1)
    end = EndOfPartition(5, 1)
    for now_s, answer in ((0.0, 1), (0.2, 2), (0.4, 3)):
        idle.became_idle(A, 5, end._replace(answered_ms=answer), now_s)
    assert idle.confirmed_s([A]) == 0.4
    assert idle.confirmed_s([A, B]) is None
    idle.became_idle(B, 5, end, 0.35)
    assert idle.confirmed_s([A, B]) is None  # an answer, but not idle yet
    for now_s, answer in ((0.4, 1), (0.6, 2), (0.8, 2)):
        idle.became_idle(B, 5, end._replace(answered_ms=answer), now_s)
    assert idle.confirmed_s([A, B]) == 0.4
    idle.became_idle(A, 5, end._replace(answered_ms=4, offset=6), 0.9)  # a record is there, and not processed yet
    assert idle.confirmed_s([A, B]) is None


# -- topics that are ahead


def test_a_topic_with_many_waiting_rows_is_left_until_half_of_them_are_gone():
    ahead = Ahead(100)
    steps = [(100, False), (101, True), (80, True), (51, True), (50, False), (90, False)]
    assert [ahead.of([(A, rows), (B, 0)]) == {A} for rows, _ in steps] == [held for _, held in steps]


# -- how much at once


def test_slow_batches_make_the_next_smaller_and_quick_ones_larger_again():
    pace, sizes = Pace(4000, least=50, aim_s=0.2), []
    for record_ms in [0.01, 1, 1, 1, 1, 1, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01]:
        pace.took(pace.size, pace.size * record_ms / 1000)
        sizes.append(pace.size)
    assert sizes == [4000, 2000, 1000, 500, 250, 200, 400, 800, 1600, 3200, 4000, 4000]


def test_one_slow_batch_of_few_records_only_halves_and_there_always_is_a_least():
    pace = Pace(4000, least=50)
    pace.took(1, 10.0)
    assert pace.size == 2000
    for _ in range(20):
        pace.took(pace.size, 60.0)
    assert pace.size == 50


def test_a_quick_batch_of_few_records_says_nothing_about_large_ones():
    pace = Pace(4000, least=50)
    for _ in range(4):
        pace.took(pace.size, 4.0)
    size = pace.size
    pace.took(1, 0.01)
    assert pace.size == size


# -- what is told of it


def test_late_events_are_told_by_topic_and_reason():
    stats = AgentStats()
    stats.late.update({("a", "late"): 2, ("a", "silence"): 1, ("b", "idle"): 3})
    stats.duplicates.update({"b": 4})
    told = stats.as_dict()
    assert told["late"] == 6
    assert told["late_by_topic"] == {"a": {"late": 2, "silence": 1}, "b": {"idle": 3}}
    assert (told["duplicates"], told["duplicates_by_topic"]) == (4, {"b": 4})


# -- a process that was stopped


def test_a_topic_is_not_taken_for_silent_by_what_was_known_before_the_process_was_stopped(monkeypatch):
    #   SIGSTOP 1 s after the topic was read to its end, SIGCONT 8 s later: the answer found then was given before the stop.
    now = [0.0]
    monkeypatch.setattr("streams.agents.flow.time.monotonic", lambda: now[0])
    flow = Flow(idle_timeout_s=5.0)

    def idle_at(now_s, answer):
        now[0] = now_s
        return flow.idle.became_idle(A, 7, EndOfPartition(7, answer), flow.look())

    assert not any(idle_at(n / 10, answer=n) for n in range(10))
    assert not idle_at(9.0, answer=11)
    assert not any(idle_at(9.0 + n / 10, answer=11 + n) for n in range(1, 50))
    assert idle_at(14.1, answer=99)
