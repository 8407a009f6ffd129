"""However rules are deployed, disabled and fail, and whenever a worker dies: the other rules alert as if nothing had happened."""

import json
from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st
from letters import LETTERS, rule_text

from m1cep import Engine, compile_rule
from streams.agents.quarantine import QUARANTINED
from streams.agents.risk import RiskPartition
from streams.agents.risk_state import quarantine_in, unpacked
from streams.agents.ruler import Ruler
from streams.cache.content import Content, Pinned
from streams.cache.library import Still
from streams.rules.book import Book
from streams.rules.record import Entry, following, our_version
from streams.transport import Batch

STABLE = {
    "pair": rule_text("A X*? B", within="4 SECOND"),
    "wide": """SELECT k, COUNT(*) OVER (PARTITION BY k ORDER BY ts RANGE BETWEEN INTERVAL '3' SECOND PRECEDING AND CURRENT ROW)
    AS n FROM letters QUALIFY n > 2""",
    "tumble": """SELECT k, window_end AS e, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE letters, DESCRIPTOR(ts), INTERVAL '3' SECOND))
    GROUP BY k, window_start, window_end""",
}
BASE = [compile_rule(text, LETTERS, name) for name, text in STABLE.items()]
VERSIONS = [
    "SELECT k FROM letters WHERE v > 3",
    rule_text("A+ B", within="5 SECOND"),
    rule_text("A B? C").replace("PATTERN", "AFTER MATCH SKIP TO FIRST B PATTERN"),  # fails when B is missing
    "SELECT k FROM letters WHERE IN_LIST('nowhere', k)",  # cannot run
    "SELECT nothing FROM nowhere",  # does not compile
]
TOPIC = "letters"


class Worker:
    """One partition with the rules of a topic; dies and comes back from its last snapshot."""

    def __init__(self, log):
        self.log = log
        self.records = {}
        self.book = Book(BASE, LETTERS)
        self.ruler = Ruler(self.book, Still(Content()), frozenset({TOPIC}), lambda rule: rule)
        self.sent = []
        self.saved = ({TOPIC: 0}, None)
        self.restore()

    def restore(self):
        positions, state = self.saved
        quarantine = None if state is None else quarantine_in(state, 0)
        lookups = Pinned(Content())
        self.ruler.look()
        rules = [s.rule for s in self.ruler.standings.values() if s.runs]
        more = {"lookups": lookups, "seen": 20, "isolate": True, "known": ["letters"]}
        engine = (
            Engine(rules, **more) if state is None else Engine.restore(rules, unpacked(state)[0], changed=True, **more)
        )
        self.partition = RiskPartition(
            positions, engine, {TOPIC: LETTERS["letters"]}, lookups=lookups, quarantine=quarantine
        )
        self.switch()

    def switch(self):
        self.ruler.look()
        outcome = self.partition.switch(self.ruler.standings, self.ruler.revision, Content())
        self.sent += outcome.messages

    def save(self):
        self.saved = dict(self.partition.positions), self.partition.snapshot()

    def take(self, count):
        at = self.partition.positions[TOPIC]
        records = self.log[at : at + count]
        if records:
            self.sent += self.partition.take(Batch(TOPIC, 0, 1, at, at + len(records), records)).messages

    def decide(self, name, mode, text):
        previous = self.records.get(name)
        entry = Entry(
            rule=name, version=str(hash(text)), text=text, mode=mode, by="me", time_ms=1, made_with=our_version()
        )
        self.records[name] = following(previous, entry)
        self.book.take(name.encode(), self.records[name].to_json())
        self.switch()


letter = st.tuples(st.sampled_from("ABC"), st.sampled_from("kq"), st.integers(0, 1500), st.integers(0, 5))
step = st.one_of(
    st.tuples(st.just("take"), st.integers(1, 7)),
    st.tuples(
        st.just("deploy"),
        st.integers(0, len(VERSIONS) - 1),
        st.sampled_from(["active", "shadow"]),
        st.sampled_from("xy"),
    ),
    st.tuples(st.just("disable"), st.sampled_from("xy")),
    st.tuples(st.just("save")),
    st.tuples(st.just("die")),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(letter, max_size=40), st.lists(step, max_size=30))
def test_other_rules_alert_as_if_nothing_had_happened(letters, steps):
    log, time = [], 0
    for n, (name, key, gap, value) in enumerate(letters):
        time += gap
        event = {"event_id": f"e{n}", "k": key, "l": name, "v": value, "ts": time}
        log.append(SimpleNamespace(offset=n, timestamp=time, key=b"k", value=json.dumps(event).encode(), headers=[]))
    undisturbed = Worker(log)
    undisturbed.take(len(log))
    expected = alerts_of(undisturbed, STABLE)

    worker, died = Worker(log), False
    for what, *facts in steps:
        if what == "take":
            worker.take(*facts)
        elif what == "deploy":
            number, mode, name = facts
            worker.decide(name, mode, VERSIONS[number])
        elif what == "disable":
            worker.decide(facts[0], "disabled", VERSIONS[0])
        elif what == "save":
            worker.save()
        else:
            worker.restore()
            died = True
    worker.take(len(log))

    found = alerts_of(worker, STABLE)
    assert set(found) == set(expected)
    if not died:
        assert found == expected  # each once, in the same order
    assert all(
        m.topic == "m1cep.shadow-alerts.v1" or json.loads(m.value)["rule"] in {*STABLE, "x", "y", QUARANTINED}
        for m in worker.sent
    )


def alerts_of(worker, names):
    return [
        a["id"]
        for a in map(json.loads, (m.value for m in worker.sent if m.topic == "m1cep.alerts.v1"))
        if a["rule"] in names
    ]


def test_what_the_steps_do_is_seen():
    """The property would hold of a worker that heeds no deployment: this says that it does."""
    log = [
        SimpleNamespace(
            offset=n,
            timestamp=n,
            key=b"k",
            headers=[],
            value=json.dumps({"event_id": f"e{n}", "k": "k", "l": letter, "v": 5, "ts": n * 1000}).encode(),
        )
        for n, letter in enumerate("ABCACABC")
    ]
    worker = Worker(log)
    worker.take(1)
    worker.decide("x", "active", VERSIONS[0])
    worker.decide("y", "active", VERSIONS[2])
    worker.take(1)
    assert [json.loads(m.value)["events"] for m in worker.sent if json.loads(m.value)["rule"] == "x"] == [["e1"]]
    worker.decide("x", "shadow", VERSIONS[0])
    worker.take(4)
    [told] = [json.loads(m.value) for m in worker.sent if json.loads(m.value)["rule"] == QUARANTINED]
    assert told["row"]["rule"] == "y"
    assert [m.topic for m in worker.sent if json.loads(m.value)["rule"] == "x"][1:] == ["m1cep.shadow-alerts.v1"] * 4
    worker.save()
    worker.restore()
    assert set(worker.partition.quarantine.failed) == {"y"}
    sent = len(worker.sent)
    worker.take(1)
    worker.decide("y", "active", VERSIONS[2])
    worker.take(1)
    worker.decide("x", "disabled", VERSIONS[0])
    assert [json.loads(m.value)["rule"] for m in worker.sent[sent:]].count("x") == 2
    assert worker.partition.quarantine.failed == {}
    worker.sent.clear()
    worker.saved = ({TOPIC: 0}, None)
    worker.restore()
    worker.take(8)
    again = [json.loads(m.value) for m in worker.sent if json.loads(m.value)["rule"] == QUARANTINED]
    assert [a["id"] == told["id"] for a in again] == [False]  # another deployment: another alert
    assert not [m for m in worker.sent if json.loads(m.value)["rule"] == "x"]
