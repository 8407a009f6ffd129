"""The packaged rules on everyday business, as the demo makes it up: what is not an attack raises no alert."""

from m1cep import Engine
from streams.demo.feeder import MARGIN_EVERY_S
from streams.demo.score import RULE_OF
from streams.demo.synthetic import SyntheticFlow
from streams.files import load_rules, load_streams
from streams.lookups import load_lookups

START_MS = 1_777_689_381_000  # 02:36 UTC: the full hour is in it
MINUTES = 30


def alerted(flow):
    """Rule and events of each alert."""
    rules = [rule for rule in load_rules(None, load_streams()) if "market" not in rule.streams]
    engine = Engine(rules, load_lookups())
    events = {"orders": [], "fills": [], "accounts": []}
    for stream, event in flow:
        events[stream].append(event)
    found = [alert for stream, batch in events.items() for alert in engine.push(stream, batch)] + engine.finish()
    assert engine.late_events == 0
    return {(alert.rule, event) for alert in found for event in alert.events}


def flow(attacks):
    span_ms = MINUTES * 60_000
    return SyntheticFlow(11, START_MS, span_ms, events_per_minute=2_500, attacks=attacks, margin_every_s=MARGIN_EVERY_S)


def test_a_market_without_attacks_raises_no_alert():
    assert alerted(flow(attacks=False)) == set()


def test_each_attack_raises_the_alert_of_its_own_rule_and_no_other():
    found = alerted(flow(attacks=True))
    for attack in flow(attacks=True).planted:
        own = {rule for rule, event in found if event in attack.event_ids}
        assert own == {RULE_OF[attack.rule_family]}, attack
    assert {rule for rule, _ in found} == set(RULE_OF.values())
