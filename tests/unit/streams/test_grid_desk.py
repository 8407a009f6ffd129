"""What an operator sees of grids, whatever else stands on their topic."""

from contextlib import contextmanager
from types import SimpleNamespace

import orjson
import pytest

from streams.cli import gridctl
from streams.config import load_settings
from streams.grid import desk

STANDS = {
    "grid": "btc",
    "state": "halted",
    "reason": "alert [/red] 7",
    "requests": [],
    "generations": 1,
    "orders": 0,
    "fills": 0,
    "centre_ticks": 5,
    "quarantined": 0,
    "grid_profit": "0",
    "floating_pnl": "0",
    "fees": "0",
    "spec": {"market": {"symbol": "BTC-USD", "tick": "1", "lot": "1"}},
}


def topic(monkeypatch, *records):
    """The topic holds these records, each a key and a value."""

    class Reader:
        def __init__(self):
            self.left = [SimpleNamespace(key=key, value=value) for key, value in records]

        def partitions_for_topic(self, _topic):
            return {0}

        def end_offsets(self, tps):
            return dict.fromkeys(tps, len(records))

        def assign(self, _tps):
            pass

        def seek_to_beginning(self, *_tps):
            pass

        def position(self, _tp):
            return len(records)

        def poll(self, timeout_ms):
            assert timeout_ms
            found, self.left = self.left, []
            return {0: found} if found else {}

    @contextmanager
    def consumer(_settings):
        yield Reader()

    monkeypatch.setattr(desk, "consumer", consumer)


@pytest.mark.parametrize(
    "record", [(None, b"{}"), (b"\xff", b"{}"), (b"eth", b"no JSON"), (b"eth", b"[]"), (b"eth", b'{"state": "live"}')]
)
def test_a_foreign_record_keeps_nobody_from_seeing_and_pausing_grids(monkeypatch, record):
    topic(monkeypatch, record, (b"btc", orjson.dumps(STANDS)), record)
    assert desk.standing(load_settings()) == {"btc": STANDS}


def test_a_reason_of_others_is_text_and_no_markup(monkeypatch, capsys):
    topic(monkeypatch, (b"btc", orjson.dumps(STANDS)))
    gridctl.status()
    assert "alert [/red] 7" in capsys.readouterr().out
