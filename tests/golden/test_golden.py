"""Every packaged rule: what it fires on, what it nearly fires on, its plan and its code. Changed by a reviewed diff only.

pytest tests/golden --update-golden
"""

import json
from pathlib import Path

import pytest

from m1cep import Engine
from streams.explain import plan_lines
from streams.files import load_rules, load_streams
from streams.lookups import load_lookups

HERE = Path(__file__).parent
STREAMS = load_streams()
LOOKUPS = load_lookups()
RULES = {rule.id: rule for rule in load_rules(None, STREAMS)}


def events_of(file):
    """(stream, event) by event time: the files have case after case. Equal times keep the order of the file."""
    return sorted(_lines_of(file), key=lambda found: found[1]["ts"])


def _lines_of(file):
    """(stream, event) of each line; a line with ``times`` stands for so many events, ``step_ms`` apart."""
    for line in map(json.loads, file.read_text().splitlines()):
        event = line["event"]
        if "times" not in line:
            yield line["stream"], event
        for n in range(line.get("times", 0)):
            numbered = {name: f"{event[name]}-{n}" for name in ("event_id", "order_id")}
            yield line["stream"], event | numbered | {"ts": event["ts"] + n * line["step_ms"]}


def alerts_of(rule, file, batch=10_000):
    engine = Engine([rule], LOOKUPS)
    found = []
    for name in rule.streams:  # stream after stream: the merge puts them in order of time
        events = [event for stream, event in events_of(file) if stream == name]
        for at in range(0, len(events), batch):
            found += engine.push(name, events[at : at + batch])
    found += engine.finish()
    assert engine.late_events == 0  # an event that no rule was given shows nothing
    return found


def same(file, text, update):
    if update:
        file.write_text(text)
    assert file.read_text() == text, f"{file} differs: run with --update-golden and review the diff"


def test_every_rule_has_a_golden_folder():
    assert set(RULES) == {folder.name for folder in HERE.iterdir() if folder.is_dir() and folder.name != "__pycache__"}


@pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))
class TestRule:
    def test_says_what_it_is_and_where_it_comes_from(self, rule):
        assert rule.summary
        assert rule.matter.source

    def test_fires(self, rule, request):
        alerts = alerts_of(rule, HERE / rule.id / "fires.ndjson")
        text = "".join(json.dumps(json.loads(a.to_json()), indent=1) + "\n" for a in alerts)
        same(HERE / rule.id / "alerts.json", text, request.config.getoption("--update-golden"))
        assert alerts

    def test_does_not_fire_on_near_misses(self, rule):
        file = HERE / rule.id / "near-miss.ndjson"
        until = events_of(file)[-1][1]["ts"]  # what is absent only because the file ends here is not missed
        assert [alert for alert in alerts_of(rule, file) if alert.event_time <= until] == []

    def test_gives_the_same_alerts_one_event_at_a_time(self, rule):
        file = HERE / rule.id / "fires.ndjson"
        assert alerts_of(rule, file, batch=1) == alerts_of(rule, file)

    def test_plan_and_code(self, rule, request):
        update = request.config.getoption("--update-golden")
        same(HERE / rule.id / "plan.txt", "\n".join(plan_lines(rule)) + "\n", update)
        same(HERE / rule.id / "code.txt", rule.module.text, update)
