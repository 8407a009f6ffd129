"""The demo as a stranger runs it: two processes and a broker, alerts on stdout, a summary, nothing left behind."""

import json

import pytest

pytestmark = [pytest.mark.broker, pytest.mark.slow]

PLANTED_RULES = {"layering", "wash-trade", "account-takeover", "structuring"}


def run_demo(m1cep, *options):
    """Alerts and summary."""
    done = m1cep("demo", "--json", "--no-real", *options, timeout_s=120)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert set(lines[-1]) == {"summary"}
    return lines[:-1], lines[-1]["summary"]


def test_every_planted_attack_is_found_and_nothing_else(m1cep):
    alerts, summary = run_demo(m1cep)  # half an hour of event time, once
    assert summary["attacks"] == {"planted": 12, "found": 12, "missed": [], "unexplained": 0}
    assert {a["rule"] for a in alerts} == PLANTED_RULES
    assert summary["alerts"] == len(alerts) == len({a["id"] for a in alerts}) == sum(summary["alerts_by_rule"].values())
    assert summary["events"] > 250_000
    assert summary["dead_letters"] == 21  # as many damaged records as the feed has
    assert summary["late"] == 0
    assert summary["alert_latency_ms"]["p50"] <= summary["alert_latency_ms"]["p99"]


def test_without_attacks_no_rule_about_them_fires(m1cep):
    alerts, summary = run_demo(m1cep, "--no-attacks")
    assert alerts == []
    assert summary["events"] > 250_000


def test_it_ends_after_the_seconds_asked_for(m1cep):
    _, summary = run_demo(m1cep, "--seconds", "3", "--speed", "20")
    assert 2.5 < summary["seconds"] < 15
    assert 0 < summary["events"] < 100_000
