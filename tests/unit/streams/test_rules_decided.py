"""What commands decide about rules, what workers make of it, and what is told of it: without a broker."""

import json
from io import BytesIO

import pytest
from letters import LETTERS, rows

from m1cep import compile_rule
from m1cep.errors import M1cepError
from streams.cache.content import Content
from streams.errors import ShellError
from streams.rules import decide, desk
from streams.rules.backtest import backtest
from streams.rules.book import Book, fitting
from streams.rules.history import time_ms
from streams.rules.record import BEFORE, RULES, is_newer, our_version, parse
from streams.rules.table import rows as table

TEXT = "/*\nid: high\n*/\nSELECT k FROM letters WHERE v > {}"
HIGH_3, HIGH_5 = (compile_rule(TEXT.format(v), LETTERS) for v in (3, 5))
ANN, BOB = decide.Who("ann", 1000), decide.Who("bob", 2000)


def deployed(rule=HIGH_3, previous=None, who=ANN, *, shadow=False, approval=False):
    return decide.deployed(rule, previous, who, shadow=shadow, approval=approval)


def stands(*records, base=()):
    """What a worker makes of records, one after the other."""
    book = Book(base, LETTERS)
    for record in records:
        book.take(record.rule.encode(), record.to_json())
    return book.standings


# -- the record


def test_a_record_comes_back_as_it_was_written():
    record = deployed(HIGH_5, deployed())
    assert parse(b"high", record.to_json()) == record
    plain = json.loads(record.to_json())
    assert plain["before"][0]["version"] == HIGH_3.version
    assert "before" not in plain["before"][0]


@pytest.mark.parametrize("value", [b"", b"[]", b"\xff", pytest.param(b'{"x": ' + b"[" * 100_000, id="deep")])
def test_a_record_that_is_none_is_told_in_one_line(value):
    with pytest.raises(ShellError, match="cannot be read"):
        parse(b"high", value)


def test_the_last_ten_are_remembered_and_the_one_in_force_whatever_is_proposed():
    record = deployed()
    for _ in range(BEFORE + 5):
        record = deployed(HIGH_5, record, approval=True)
    assert len(record.before) == BEFORE
    assert record.in_force.version == HIGH_3.version


def test_a_record_is_later_than_the_one_before_whatever_the_clocks_say():
    assert deployed(HIGH_5, deployed(who=BOB), ANN).time_ms == 2001


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"high", b"{"),
        (b"high", b"[]"),
        (b"high", b"\xff"),
        (b"other", deployed().to_json()),
        (None, deployed().to_json()),
        (b"high", deployed().to_json().replace(b'"active"', b'"resting"')),
    ],
)
def test_what_is_no_record_changes_nothing_and_is_told(key, value):
    book = Book([HIGH_3], LETTERS)
    book.take(key, value)
    assert [s.mode for s in book.standings.values()] == ["active"]
    assert RULES in book.refused[(key or b"").decode()]


# -- what workers make of it


def test_a_rule_of_the_topic_takes_the_place_of_the_file_and_gives_it_back():
    book = Book([HIGH_3], LETTERS)
    book.take(b"high", deployed(HIGH_5).to_json())
    assert book.standings["high"].version == HIGH_5.version
    book.take(b"high", None)
    assert (book.standings["high"].version, book.standings["high"].origin) == (HIGH_3.version, "file")


def test_a_proposal_changes_nothing_until_it_is_approved():
    record = deployed()
    proposal = deployed(HIGH_5, record, approval=True)
    assert stands(proposal)["high"].version == HIGH_3.version
    assert stands(deployed(HIGH_5, approval=True)) == {}
    agreed = decide.approved("high", proposal, BOB, None)
    assert (agreed.by, agreed.approved_by) == ("ann", "bob")
    assert stands(agreed)["high"].version == HIGH_5.version


def test_who_proposes_cannot_approve_nor_can_another_version_be_approved():
    proposal = deployed(approval=True)
    for who, version, why in ((ANN, None, "another person"), (BOB, "beef", "by now")):
        with pytest.raises(M1cepError, match=why):
            decide.approved("high", proposal, who, version)
    with pytest.raises(M1cepError, match="nothing is proposed"):
        decide.approved("high", deployed(), BOB, None)


def test_a_disabled_rule_does_not_run_and_comes_back_as_it_was():
    tried = deployed(shadow=True)
    off = decide.disabled("high", tried, None, BOB)
    assert not stands(off)["high"].runs
    assert stands(decide.enabled("high", off, ANN))["high"].mode == "shadow"
    of_file = decide.disabled("high", None, HIGH_3.version, ANN)
    assert of_file.text is None
    assert not stands(of_file, base=[HIGH_3])["high"].runs
    assert stands(decide.enabled("high", of_file, ANN), base=[HIGH_3])["high"].rule is HIGH_3


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: decide.disabled("nowhere", None, None, ANN),
        lambda: decide.disabled("high", decide.disabled("high", deployed(), None, ANN), None, ANN),
        lambda: decide.enabled("high", deployed(), ANN),
        lambda: decide.rolled_back("high", None, ANN, None, None),
        lambda: decide.rolled_back("high", deployed(), ANN, None, None),
        lambda: decide.rolled_back("high", deployed(), ANN, "beef", None),
    ],
)
def test_what_makes_no_sense_is_refused(wrong):
    with pytest.raises(M1cepError):
        wrong()


def test_a_rollback_goes_to_the_version_before_and_again_back():
    record = deployed(HIGH_5, deployed())
    back = decide.rolled_back("high", record, BOB, None, None)
    assert back.version == HIGH_3.version
    assert decide.rolled_back("high", back, BOB, None, None).version == HIGH_5.version
    assert decide.rolled_back("high", back, BOB, HIGH_5.version[:5], None).version == HIGH_5.version
    file = decide.rolled_back("high", deployed(HIGH_5), BOB, None, HIGH_3.version)
    assert stands(file, base=[HIGH_3])["high"].rule is HIGH_3


def test_what_a_worker_cannot_run_is_quarantined_with_the_reason():
    newer = deployed().to_json().replace(our_version().encode(), b"99.1")
    older = deployed().to_json().replace(our_version().encode(), b"0.0.1")
    bad = older.replace(b"letters", b"nowhere")
    found = []
    for value in (newer, older, bad):
        book = Book([], LETTERS)
        book.take(b"high", value)
        found.append(book.standings["high"])
    assert [s.mode for s in found] == ["quarantined", "active", "quarantined"]
    assert "99.1" in found[0].reason
    assert "0.0.1" in found[2].reason
    assert "nowhere" in found[2].reason


def test_a_rule_that_needs_what_the_worker_does_not_have_is_quarantined_there():
    [standing] = stands(deployed()).values()
    assert fitting(standing, {"letters"}, Content()) is standing
    assert "letters" in fitting(standing, {"other"}, Content()).reason
    listed = compile_rule("/*\nid: listed\n*/ SELECT k FROM letters WHERE IN_LIST('bad', k)", LETTERS)
    [standing] = stands(deployed(listed)).values()
    assert "list 'bad'" in fitting(standing, {"letters"}, Content()).reason


def test_versions_of_m1cep_are_compared_by_their_numbers():
    assert is_newer("0.10.0", "0.9.1")
    assert not is_newer("0.9", "0.9")
    assert not is_newer("", "0.1")
    assert is_newer("1.0.0rc1", "0.9")


# -- what is said of it


def worker(name="w1", *, version=None, topics=("letters/0",), **rule):
    told = {"id": "high", "stamp_ms": 1000, "mode": "active", "since_ms": 1500, "reason": None, "version": "v"}
    counts = {"events": 10, "matches": 2, "alerts": 1, "open": 3, "keys": 4, "busy_us": 20}
    agent = {"m1cep": version or our_version(), "assigned": list(topics)}
    return {"worker": name, "agents": {"risk": agent}, "rules": [told | counts | rule], "group": "g", "alive": True}


def test_workers_are_asked_before_a_rule_is_deployed():
    decide.check_workers(HIGH_3, [worker(), worker(topics=())])
    decide.check_workers(HIGH_3, [])
    for one, why in ((worker(version="0.0.1"), "0.0.1"), (worker(topics=["other/0"]), "letters")):
        with pytest.raises(M1cepError, match=why):
            decide.check_workers(HIGH_3, [one])


def test_a_record_has_arrived_when_every_worker_says_so():
    late, bad = worker("w2", stamp_ms=999), worker("w3", mode="quarantined", reason="it fails")
    found = desk.arrival(deployed(), [worker(), late, bad])
    assert found.after_ms == {"w1": 500, "w3": 500}
    assert found.missing == ("w2",)
    assert found.quarantined == {"w3": "it fails"}
    assert not found.complete
    assert desk.workers_of([worker(), worker() | {"alive": False}, worker() | {"group": "h"}], "g") == [worker()]


def test_the_table_adds_up_what_workers_say():
    proposal = deployed(HIGH_5, deployed(), approval=True)
    [row] = table([HIGH_3], {"high": proposal}, [worker(), worker("w2", mode="quarantined", reason="it fails")])
    assert (row["events"], row["alerts"], row["cost_us_per_event"]) == (20, 2, 2.0)
    assert (row["mode"], row["reason"], row["version"]) == ("quarantined", "it fails", HIGH_3.version)
    assert row["proposed"] == {"version": HIGH_5.version, "by": "ann", "mode": "active"}
    [row] = table([], {"high": deployed(approval=True)}, [])
    assert row["mode"] == "proposed"


# -- history


def test_a_backtest_tells_versions_apart():
    events = rows("ABCD", values=[1, 4, 6, 6], times=[0, 1000, 2000, 86_400_000])
    lines = b"".join(json.dumps(event).encode() + b"\n" for event in events)
    report = backtest([HIGH_5], {"high": HIGH_3}, {"letters": (LETTERS["letters"], BytesIO(lines))})
    [row] = report.rows()
    assert (row["rule"], row["alerts"], row["alerts_per_day"], row["days"]) == ("high", 2, 2.0, 1.0)
    assert row["keys"] == [{"key": "k", "alerts": 2}]
    against = row["against"]
    assert (against["both"], against["only_new"], against["only_old"]) == (2, 0, 1)
    assert against["examples_only_old"] == [{"key": "k", "event_time": 1000}]


def test_a_moment_is_a_time_or_how_long_ago():
    assert time_ms("90min", "--from", 10_000_000) == 10_000_000 - 5_400_000
    assert time_ms("1970-01-02T00:00:00Z", "--from", 0) == 86_400_000
    for wrong in ("yesterday", "1970-01-02T00:00:00", "7"):
        with pytest.raises(M1cepError, match="--from expects"):
            time_ms(wrong, "--from", 0)
