"""What the demo says of itself: attacks found and missed, alerts without an attack, latencies."""

from streams.demo.attacks import Planted
from streams.demo.score import SETTLED_MS, Marks, percentiles, planted_score


def attack(*events, family="layering", end_ms=1_000):
    return Planted(family, "a", 0, end_ms, events, ("a",))


def alert(rule, *events):
    return {"rule": rule, "events": list(events)}


def test_an_attack_is_found_when_an_alert_of_its_rule_names_one_of_its_events():
    found = planted_score([attack("e1", "e2")], [alert("layering", "x", "e2")], 1_000 + SETTLED_MS)
    assert found == {"planted": 1, "found": 1, "missed": [], "unexplained": 0}


def test_another_rules_alert_does_not_count_and_an_alert_without_attack_is_unexplained():
    alerts = [alert("structuring", "e1"), alert("layering", "other"), alert("quote-stuffing", "q")]
    found = planted_score([attack("e1")], alerts, 1_000 + SETTLED_MS)
    assert found == {"planted": 1, "found": 0, "missed": ["layering a at 0"], "unexplained": 2}


def test_an_attack_that_was_not_fed_to_its_end_is_not_missed_and_explains_its_alert():
    found = planted_score([attack("e1", end_ms=50_000)], [alert("layering", "e1")], 50_000)
    assert found == {"planted": 0, "found": 0, "missed": [], "unexplained": 0}


def test_an_event_was_sent_no_earlier_than_the_mark_before_it():
    marks = Marks()
    for mark in ([100, 1.0, 0, 0], [200, 2.0, 200, 0], [300, 3.0, 400, 1], "done"):
        marks.add(mark)
    assert [marks.sent_at_s(t) for t in (99, 100, 250, 999)] == [None, 1.0, 2.0, 3.0]
    assert (marks.sent, marks.passes, marks.done) == (400, 2, True)


def test_percentiles():
    assert percentiles([]) == {"p50": None, "p99": None}
    assert percentiles(range(100)) == {"p50": 50, "p99": 99}
