"""The demo's page in the room that its terminal has, and its last words."""

import io

import pytest
from rich.console import Console

from streams.demo.director import Progress
from streams.demo.page import Page
from streams.demo.words import summary_table


def alert(number, rule="quote-stuffing"):
    key = {"symbol": "BTC-USD", "side": "bid", "price": 78353.0}
    row = {"symbol": "BTC-USD", "orders": number, "share": 0.123456789}
    event_time = 1_777_689_380_000 + number
    return {"rule": rule, "severity": "medium", "key": key, "row": row, "event_time": event_time}


def drawn(page, width, height):
    console = Console(width=width, height=height, file=io.StringIO(), force_terminal=True, color_system=None)
    console.print(page)
    return console.file.getvalue().rstrip("\n").split("\n")


@pytest.fixture
def page():
    found = Page()
    found.url = "http://127.0.0.1:8080"
    found.phase("running")
    progress = Progress(
        stats={"agents": {"risk": {"events": 189_095, "dead_letters": 1}}}, latencies_ms=[196, 196, 1760]
    )
    progress.marks.add([1_777_689_380_000, 0.0, 1, 0])
    progress.grid = {"state": "live", "generations": 2, "fills": 1, "grid_profit": "-0.0766", "floating_pnl": "2.53"}
    for number in range(50):
        found.alert(alert(number))
    for number in range(5):
        found.note(f"rejected: demo-attacked-{number}: signer 1 reject: " + "a long reason " * 20)
    found.take(progress)
    return found


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (200, 60)])
def test_it_fills_the_terminal_and_no_more(page, width, height):
    lines = drawn(page, width, height)
    assert height - 2 <= len(lines) <= height - 1
    assert max(map(len, lines)) <= width


def test_no_fact_is_broken_and_a_note_takes_one_line(page):
    lines = drawn(page, 80, 24)
    for fact in (
        "189,095 events",
        "latency p50 196 ms, p99 1,760 ms",
        "1 dead letter ",
        "floating +2.53 USD",
        "1 fill ",
    ):
        assert any(fact in line for line in lines), fact
    assert sum("rejected: demo-attacked" in line for line in lines) == 3
    assert not any("demo-attacked-1" in line for line in lines), "the newest are shown"


def test_what_an_alert_says_is_shown_where_there_is_room(page):
    assert not any("share=" in line for line in drawn(page, 80, 24))
    assert any("share=0.123457" in line for line in drawn(page, 120, 40))
    assert any("BTC-USD bid 78353.0" in line for line in drawn(page, 80, 24))


def test_before_anything_is_fed_it_says_what_starts_and_since_when():
    page = Page()
    page.phase("starting the ledger")
    [line] = drawn(page, 80, 24)
    assert "starting the ledger ... 0 s" in line


def asset(owed, held, decimals=8):
    covered = held is not None and held >= owed
    units = None if held is None else str(held)
    return {"units": units, "owed_units": str(owed), "decimals": decimals, "covered": covered}


SUMMARY = {
    "events": 1,
    "events_by_stream": {"orders": 1},
    "alerts": 0,
    "alerts_by_rule": {},
    "events_per_s": 1,
    "alert_latency_ms": {"p50": None, "p99": None},
    "dead_letters": 0,
    "late": 0,
    "attacks": {"planted": 0, "found": 0, "missed": [], "unexplained": 0},
    "seconds": 1.0,
    "real_data": False,
}


def said(reserves):
    console = Console(width=200, file=io.StringIO())
    console.print(summary_table(SUMMARY | {"reserves": reserves}))
    return console.file.getvalue()


def test_what_is_owed_is_said_to_be_covered_or_not():
    proof = {"user": "ann", "true": True, "said": "BTC: 0.5 of ann is in the total"}
    assets = {"bitcoin:regtest/BTC": asset(98_499_692, 98_499_692), "USD": asset(5, None)}
    text = said({"statements": 2, "addresses": 1, "assets": assets, "proof": proof})
    assert "1 vault signed for bitcoin:regtest/BTC 0.98499692 of 0.98499692 owed: covered; 1 more asset, " in text
    assert "checked with the one-file verifier: BTC: 0.5 of ann is in the total" in text
    short = {"bitcoin:regtest/BTC": asset(100, 99)}
    false = proof | {"true": False, "said": "NOT TRUE: the way does not end at the root"}
    text = said({"statements": 2, "addresses": 1, "assets": short, "proof": false})
    assert "NOT COVERED: bitcoin:regtest/BTC" in text
    assert "NOT TRUE: the way" in text
    assert "checked" not in text
    assert "no vault has signed" in said({"statements": 0})
