"""``m1cep soak`` without processes: what counts as missing, when memory is flat, which faults and which load come."""

import itertools
import random
import xml.etree.ElementTree as ET

import orjson
import pytest
from aiokafka.partitioner import DefaultPartitioner

from streams.errors import UsageError
from streams.files import load_rules, load_streams
from streams.soak import load, memory
from streams.soak.compare import Received, compare
from streams.soak.faults import bursts, planned
from streams.soak.options import FAULTS, TO_WORKERS, SoakOptions, parse_faults
from streams.soak.plot import draw
from streams.soak.report import markdown
from streams.soak.run import OWN_RULES

# -- alerts


def alert(name, event_time=100, **row):
    return orjson.dumps({"id": name, "rule": "r", "event_time": event_time, "row": row})


def compared(expected, received, closed=None):
    got = Received()
    for value in received:
        got.add(value)
    return compare(expected, got, closed)


def test_alerts_in_any_order_and_again_are_exact():
    found = compared([alert("a"), alert("b")], [alert("b"), alert("a"), alert("b")])
    assert found.exact
    assert (found.expected, found.received, found.repeated) == (2, 2, 1)
    assert found.by_rule == {"r": 2}


def test_what_did_not_come_is_missing_and_what_nobody_expects_is_invented():
    found = compared([alert("a"), alert("b")], [alert("b"), alert("c")])
    assert not found.exact
    assert (found.missing, found.invented, found.different) == (["a"], ["c"], [])


def test_an_alert_with_other_contents_is_told_whichever_copy_came_first():
    right, wrong = alert("a", n=1), alert("a", n=2)
    for received in ([wrong], [right, wrong], [wrong, right]):
        found = compared([right], received)
        assert found.different == ["a"]
        assert not found.exact


def test_the_same_contents_in_another_order_of_columns_are_the_same():
    assert compared([b'{"id":"a","rule":"r","event_time":1}'], [b'{"event_time":1,"rule":"r","id":"a"}']).exact


def test_alerts_about_the_end_of_the_load_are_left_out_on_both_sides():
    found = compared([alert("a"), alert("end", 1000)], [alert("a"), alert("other end", 1001)], closed=1000)
    assert found.exact
    assert found.expected == found.received == 1


# -- memory


def life(start_s, end_s, mb, noise_mb=2.0):
    chance = random.Random(5)
    return [(float(s), mb(s) + chance.uniform(-noise_mb, noise_mb)) for s in range(start_s, end_s)]


def test_memory_that_stays_is_flat():
    verdict = memory.judge([life(0, 600, lambda _s: 120), life(0, 300, lambda _s: 110), life(305, 600, lambda _s: 115)])
    assert verdict.flat
    assert verdict.lives == 3
    assert verdict.growth_mb < 2


def test_growth_before_windows_and_processes_are_full_does_not_count():
    assert memory.judge([life(0, 600, lambda s: min(s, 140)), life(300, 600, lambda s: 100 + min(s, 355))]).flat


def test_a_leak_is_told():
    verdict = memory.judge([life(0, 600, lambda s: 100 + s / 20)])
    assert verdict.flat is False
    assert verdict.slope_mb_per_min == pytest.approx(3.0, abs=0.1)
    assert verdict.growth_mb > verdict.allowed_mb


def test_a_leak_is_told_though_every_process_begins_anew_three_minutes():
    lives = [life(start, start + 180, lambda s, start=start: 100 + (s - start) / 20) for start in range(0, 600, 190)]
    assert memory.judge(lives).flat is False


def test_a_step_when_partitions_move_is_no_leak():
    verdict = memory.judge([life(0, 600, lambda s: 100 if s < 250 else 135)])
    assert verdict.flat


def test_nothing_is_said_of_processes_that_lived_too_shortly():
    assert memory.judge([life(0, 160, lambda _s: 100), life(200, 310, lambda _s: 100)]).flat is None
    assert memory.judge([]).flat is None


# -- faults


def test_the_same_seed_gives_the_same_faults_and_another_seed_others():
    def first(seed):
        return list(itertools.islice(planned(SoakOptions(seed=seed)), 20))

    assert first(1) == first(1) != first(2)


def test_each_kind_of_fault_comes_once_before_one_comes_again():
    kinds = [fault.kind for fault in itertools.islice(planned(SoakOptions()), 8)]
    assert sorted(kinds[:4]) == sorted(kinds[4:]) == sorted(TO_WORKERS)


def test_a_pause_is_longer_than_the_session():
    found = [fault for fault in itertools.islice(planned(SoakOptions()), 40) if fault.kind == "pause"]
    assert all(fault.length_s > 6 for fault in found)


def test_only_what_was_asked_for_is_done():
    options = SoakOptions(faults=parse_faults("kill,damage"))
    assert {fault.kind for fault in itertools.islice(planned(options), 10)} == {"kill"}
    assert bursts(options) == ()
    assert list(planned(SoakOptions(faults=parse_faults("none")))) == []
    assert parse_faults("all") == tuple(FAULTS)


def test_a_fault_that_does_not_exist_is_refused():
    with pytest.raises(UsageError, match="there is no fault 'fire'; there are: kill, pause"):
        parse_faults("kill,fire")


# -- load

OPTIONS = load.LoadOptions("", seed=3, rate=500, seconds=10, partitions=4)


def some(count=20_000, options=OPTIONS):
    return list(itertools.islice(load.items(options), count))


def test_events_are_out_of_order_by_less_than_their_streams_declare():
    newest, worst = 0, 0
    for _, _, event in some():
        if isinstance(event, dict):
            newest = max(newest, event["ts"])
            worst = max(worst, newest - event["ts"])
    assert 50 < worst < 200


def test_no_event_id_comes_twice_in_any_stream():
    events = [(stream, event["event_id"]) for _, stream, event in some(60_000) if isinstance(event, dict)]
    assert len(set(events)) == len(events)


def test_damaged_records_are_refused_by_the_streams_and_others_are_not():
    declared = load_streams()
    for _, stream, what in some():
        rows, errors, _ = declared[stream].decode_many([what if isinstance(what, bytes) else orjson.dumps(what)])
        assert (len(rows), len(errors)) == ((0, 1) if isinstance(what, bytes) else (1, 0))


def test_the_first_and_last_events_reach_every_partition_of_every_stream():
    partition = DefaultPartitioner()
    found = {
        (stream, partition(key.encode(), list(range(4)), list(range(4))))
        for stream, key, _ in load.everywhere(OPTIONS, "end", 5)
    }
    assert found == set(itertools.product(load.STREAMS, range(4)))


def test_a_burst_is_due_on_top_of_the_rate():
    options = load.LoadOptions("", seed=3, rate=100, seconds=60, partitions=4, bursts=((10.0, 2.0, 5.0),))
    assert [load.due(options, s) for s in (10, 11, 12, 20)] == [1000, 1500, 2000, 2800]


# -- rules, report, picture


def test_the_rules_of_the_soak_are_understood():
    assert {rule.id for rule in load_rules([OWN_RULES], load_streams())} == {
        "soak-absence",
        "soak-over",
        "soak-pattern",
        "soak-session",
        "soak-window",
    }


def sample(at_s, worker_mb):
    rss = {"1.1": worker_mb, "2.1" if at_s < 5 else "2.2": worker_mb}
    return {"at_s": at_s, "sent": 10, "processed": 9, "lag": 1, "alerts": 2, "rss_mb": rss, "broker_mb": 50.0}


DOCUMENT = {
    "ok": False,
    "reasons": ["2 alerts missing"],
    "machine": {"cpu": "a <cpu>", "cores": 2, "python": "3.11", "load_1_min": 1.0},
    "seed": 7,
    "rules": 3,
    "workers": 2,
    "broker": "embedded broker",
    "rate": 100,
    "faults_asked": ["kill", "burst"],
    "load_s": 10.0,
    "seconds": 12.0,
    "events": 1000,
    "events_per_s": 100,
    "sent_twice": 0,
    "damaged": 0,
    "not_processed": 0,
    "dead_letters": 0,
    "late": 0,
    "alerts": {
        **dict.fromkeys(("received", "repeated", "invented", "different"), 0),
        "expected": 2,
        "missing": 2,
        "examples": {"missing": ["first-id", "second-id"], "invented": [], "different": []},
        "by_rule": {"wash-trade": 2},
    },
    "latency_ms": {"p50": 1.0, "p99": 2.0},
    "latency_undisturbed_ms": {"p50": None, "p99": None},
    "faults": [
        {"kind": "kill", "worker": 2, "at_s": 3.0, "length_s": 1.0, "recovered_s": 4.5},
        {"kind": "kill", "worker": 1, "at_s": 8.0, "length_s": 1.0, "recovered_s": None},
        {"kind": "burst", "worker": None, "at_s": 5.0, "length_s": 2.0, "recovered_s": None},
    ],
    "ended_by_itself": [{"at_s": 6.0, "worker": 1, "code": 1, "words": "superseded | by another"}],
    "memory": {
        **dict.fromkeys(("median_mb", "highest_mb", "growth_mb", "observed_s", "allowed_mb", "broker_mb"), 1.0),
        "flat": True,
        "lives": 2,
        "slope_mb_per_min": 0.1,
    },
    "samples": [sample(float(s), 100.0 + s) for s in range(10)],
}


def test_the_report_says_in_its_title_what_is_wrong_and_names_it():
    text = markdown(DOCUMENT)
    assert text.startswith("# Soak: 2 alerts missing\n")
    assert "First missing: first-id, second-id." in text
    assert "| kill: SIGKILL, and started again | 2 | 1.0 s | 4.5 s | 4.5 s (1 not) |" in text
    assert "superseded \\| by another" in text  # a bar would end the cell


def test_the_picture_has_a_line_for_every_process_and_a_mark_for_every_fault():
    root = ET.fromstring(draw(DOCUMENT))
    texts = [e.text for e in root.iter("{http://www.w3.org/2000/svg}text")]
    panels = 5
    assert len(list(root.iter("{http://www.w3.org/2000/svg}polyline"))) == 3 + 1 + 2 + 1 + 1
    assert texts.count("K") == 2 * panels
    assert texts.count("B") == panels
    assert "2 alerts missing" in texts
