"""Tables of rules: what people and rules say in them is text, no markup."""

import pytest
from rich.console import Console

from streams.cli.output import counted, event_moment
from streams.cli.rules import _print_table
from streams.cli.rules_list import _print_list
from streams.cli.status import _page

ROW = {
    "id": "withdrawal-velocity-of-a-desk", "version": "220276e608f6", "mode": "active", "origin": "topic", "by": "ann.smith",
    "events": 12_345_678, "alerts": 4_321, "open": 740, "cost_us_per_event": 1.234, "reason": "",
}  # fmt: skip
WORDS = ["a sum in [a/b]", "of [bold]s", "[/x]"]


@pytest.mark.parametrize("words", WORDS)
def test_a_summary_with_brackets_is_shown_as_it_is(capsys, words):
    _print_table([{"id": "r", "severity": "low", "form": "filter", "streams": ["orders"], "summary": words}])
    assert "".join(words.split()) in "".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("words", WORDS)
def test_the_reason_of_a_quarantine_is_shown_as_it_is(capsys, words):
    _print_list([ROW | {"mode": "quarantined", "reason": words}])
    assert "".join(words.split()) in "".join(capsys.readouterr().out.split())


def test_a_list_in_a_pipe_cuts_nothing(capsys):
    _print_list([ROW])
    assert capsys.readouterr().out.splitlines()[1].split() == [
        "withdrawal-velocity-of-a-desk", "220276e608f6", "active", "topic", "ann.smith", "12,345,678", "4,321", "740", "1.23",
    ]  # fmt: skip


def test_rules_keep_their_names_and_figures_on_a_narrow_screen(capsys):
    rule = ROW | {"id": "changed-then-withdrawn", "matches": 4_321, "keys": 1_000, "busy_us": 0}
    worker = {
        "worker": "m1cep/host/1", "alive": True, "ready": True, "events_per_s": 0.0, "alert_latency_ms": None, "web": None,
        "agents": {}, "rules": [rule | {"events": 12_345_678}],
    }  # fmt: skip
    Console(width=80).print(_page([worker], narrow=True))
    assert capsys.readouterr().out.splitlines()[-2].split() == [
        "changed-then-withdrawn", "active", "12,345,678", "4,321", "740", "0.00",
    ]  # fmt: skip


@pytest.mark.parametrize(("number", "said"), [(0, "0 alerts"), (1, "1 alert"), (12_345, "12,345 alerts")])
def test_one_is_singular(number, said):
    assert counted(number, "alert") == said


@pytest.mark.parametrize("time", [1_777_689_383_079, 1_777_689_383_079_000])
def test_a_time_is_shown_as_one_in_either_unit(time):
    assert event_moment(time).removesuffix("Z").ljust(26, "0") == "2026-05-02T02:36:23.079000"
