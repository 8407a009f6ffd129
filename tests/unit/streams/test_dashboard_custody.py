"""Custody on the dashboard, which looks on for as long as it runs."""

import pytest
from custodyoffice import Office, pen

from streams.custody.mail import RELEASES, REQUESTS, ROUNDS
from streams.custody.reserving import ReserveAsk, encode_ask
from streams.web.dashboard import custody


@pytest.fixture
def here(tmp_path):
    one = Office(tmp_path, ("solana",), audit=True)
    one.list_destination("solana")
    one.pass_time(10_000)
    yield one
    one.close()


def test_what_it_does_not_show_it_does_not_remember(here):
    """Heads of the audit log and answers to people come for ever."""
    ask = ReserveAsk("r", "alice-solana", "SOL", "ab" * 32, here.now_ms)
    here.post(pen("bob").write(REQUESTS, ask.vault, "reserve", encode_ask(ask)))
    here.pass_time(5_000)
    request = here.ask("solana")
    here.pass_time(2_000)
    shown = custody.Custody(here.roster)
    for topic in (ROUNDS, RELEASES):
        for record in here.topics[topic]:
            shown.take(record.value, record.timestamp)
    view = shown._view
    came = {one.about for one in here.letters()}
    assert came >= {"head", "audit", "desk"}
    assert [one for one in (view.heads, view.signed_heads, view.answers, view.reserves) if one] == []
    assert [one["id"] for one in shown.plain()["requests"]] == [request.id]
