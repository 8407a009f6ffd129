"""Tables of rules: what people and rules say in them is text, no markup."""

import pytest

from streams.cli.rules import _print_table
from streams.cli.rules_list import _print_list

WORDS = ["a sum in [a/b]", "of [bold]s", "[/x]"]


@pytest.mark.parametrize("words", WORDS)
def test_a_summary_with_brackets_is_shown_as_it_is(capsys, words):
    _print_table([{"id": "r", "severity": "low", "form": "filter", "streams": ["orders"], "summary": words}])
    assert "".join(words.split()) in "".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("words", WORDS)
def test_the_reason_of_a_quarantine_is_shown_as_it_is(capsys, words):
    names = ("id", "version", "mode", "origin", "by", "events", "alerts", "open", "cost_us_per_event")
    _print_list([dict.fromkeys(names) | {"mode": "quarantined", "reason": words}])
    assert "".join(words.split()) in "".join(capsys.readouterr().out.split())
