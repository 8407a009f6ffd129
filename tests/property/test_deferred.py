"""Rules that ask for a number of rows find the same whether rows wait outside their windows or go into them at once: whatever the
batches, restores, changes of the number, and limits of what may wait.
"""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from letters import LETTERS

import m1cep
from m1cep.plan.constants import any_of
from m1cep.runtime import deferred
from m1cep.runtime.simple import SlidingWindow
from m1cep.runtime.suppress import Suppressor

FRAME = "PARTITION BY {key} ORDER BY ts RANGE BETWEEN INTERVAL '{seconds}' SECOND PRECEDING AND CURRENT ROW"
MATTER = "/*\nparams: {least: 3}\n*/\n"
RULES = [
    MATTER + f"SELECT k, COUNT(*) OVER ({FRAME.format(key='k', seconds=2)}) AS n FROM letters QUALIFY n >= :least",
    MATTER
    + f"""SELECT k, n, s FROM (SELECT *, COUNT(*) FILTER (WHERE l = 'A') OVER w AS n, SUM(v) OVER w AS s
          FROM letters WHERE l <> 'C' WINDOW w AS ({FRAME.format(key="k, v", seconds=3)})) WHERE :least < n AND s > 1""",
    MATTER
    + f"""SELECT k, a, b FROM (SELECT *, COUNT(*) OVER w AS a, COUNT(DISTINCT l) OVER u AS b FROM letters
          WINDOW w AS ({FRAME.format(key="l, v", seconds=1)}), u AS ({FRAME.format(key="l, v", seconds=4)}))
          WHERE a >= :least OR b >= 2 AND a < b""",
    MATTER.replace("}", "}\nsuppress: 2 s")
    + f"""SELECT l, a, b FROM (SELECT *, COUNT(*) OVER w AS a, COUNT(v) OVER u AS b FROM letters
          WINDOW w AS ({FRAME.format(key="l, v", seconds=1)}), u AS ({FRAME.format(key="l, v", seconds=4)}))
          WHERE a > 1 AND b >= :least""",
    MATTER
    + f"""SELECT k, a, b FROM (SELECT *, COUNT(*) OVER w AS a, COUNT(*) FILTER (WHERE l = 'A') OVER w AS b FROM letters
          WINDOW w AS ({FRAME.format(key="k", seconds=2)})) WHERE a >= :least * b AND b >= 2""",
]
COMPILED = [m1cep.compile_rule(text, LETTERS, f"r{n}") for n, text in enumerate(RULES)]


def test_which_rules_wait():
    waits = [isinstance(rule.start(rule.module), deferred.DeferredWindow) for rule in COMPILED]
    assert waits == [True, True, False, True, True]  # the third may be fulfilled by other rows


def test_counting_begins_again_after_a_rest(monkeypatch):
    monkeypatch.setattr(deferred, "TRIES", 2)
    monkeypatch.setattr(deferred, "REST", 3)
    engine = m1cep.Engine(COMPILED[:1])
    ((_, running),) = engine._running()
    waited = []
    for n in range(12):
        many, time = (4 if n < 6 else 1), 10_000 * n  # rows at once: first enough, then not
        rows = [{"event_id": f"e{n}-{i}", "k": "k", "l": "A", "v": 1.0, "ts": time} for i in range(many)]
        engine.push("letters", rows)
        waited.append(running.operator._waiting)
    assert waited == [0] * 6 + [1] * 6  # 0 and 1 are counted, 2 to 4 not, and 5 is again


class Changing:
    """Lookups in which ``:least`` is what a test says."""

    current = True

    def __init__(self, least):
        self.revision, self.least = 0, least
        self.fixed = m1cep.FixedLookups(rules={rule.id: {"least": least} for rule in COMPILED})

    def become(self, least):
        self.revision += 1
        self.fixed = m1cep.FixedLookups(rules={rule.id: {"least": least} for rule in COMPILED})

    def __getattr__(self, name):
        return getattr(self.fixed, name)


def at_once(engine):
    """The engine with operators that put every row into its window at once."""
    for _, running in engine._running():
        plan = running.rule.plan
        span = running.operator._suppressor.span
        running.operator = SlidingWindow(running.module, Suppressor(span), any_of([plan.where]))
    return engine


letter = st.tuples(
    st.sampled_from("ABC"),
    st.sampled_from("kq"),
    st.sampled_from([0, 0, 250, 500, 1000]),
    st.sampled_from([None, 0.0, -0.0, 2.5]),
)
step = st.tuples(st.integers(1, 6), st.sampled_from([None, None, None, 2, 5, 9]), st.booleans())


@settings(max_examples=250, deadline=None)
@given(
    st.lists(letter, max_size=60),
    st.lists(step, max_size=40),
    st.sampled_from([3, 6]),
    st.sampled_from([0, 3, 20_000]),
    st.sampled_from([2, 64]),
)
@example([("A", "k", 250, 2.5)] * 12, [(1, None, False)] * 12, 6, 20_000, 2)  # many batches in one frame
@example([("A", "k", 1000, 2.5)] * 12, [(1, None, False)] * 12, 3, 20_000, 64)  # a frame begins with a batch
@example([("A", "k", 0, 2.5)] * 12, [(1, None, False)] * 4 + [(1, 2, False)] * 6, 6, 20_000, 64)  # fewer are enough
def test_waiting_changes_nothing(letters, steps, least, most_rows, most_batches):
    events, time = [], 0
    for n, (name, key, gap, value) in enumerate(letters):
        time += gap
        events.append({"event_id": f"e{n}", "k": key, "l": name, "v": value, "ts": time})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deferred, "MOST_ROWS", most_rows)
        patch.setattr(deferred, "MOST_BATCHES", most_batches)
        patch.setattr(deferred, "TRIES", 3)
        patch.setattr(deferred, "REST", 2)
        lookups = Changing(least)
        plain, waiting = at_once(m1cep.Engine(COMPILED, lookups)), m1cep.Engine(COMPILED, lookups)
        at = 0
        for cut, now, stops in [*steps, (len(events), None, False)]:
            if now is not None:
                lookups.become(now)
            some = events[at : at + cut]
            at += cut
            assert waiting.push("letters", some) == plain.push("letters", some)
            if stops:
                waiting = m1cep.Engine.restore(COMPILED, waiting.snapshot(), lookups=lookups)
        told, known = waiting.counters(), plain.counters()
        assert [told[r.id]["suppressed"] for r in COMPILED] == [known[r.id]["suppressed"] for r in COMPILED]
        assert waiting.advance((time + 1000) * 1000) == plain.advance((time + 1000) * 1000)
        assert waiting.finish() == plain.finish()
