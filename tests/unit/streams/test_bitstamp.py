"""The conversion of Bitstamp's capture, on a small made-up one in the same format (it is NOT the real data)."""

import gzip
from pathlib import Path

import pytest

import m1cep
from streams.demo import dataset
from streams.demo.bitstamp import CaptureError, convert

STREAMS_SQL = Path(__file__).parents[3] / "rules" / "streams.sql"

# Times: 1000 the book, 1100 order 3 comes and goes, 1200 the buyer 4 takes all of 2 and some of 1, 1900 the end.
ORDERS = """\
id,timestamp,exchange_timestamp,price,volume,action,direction
1,3700,1000,101.0,2.0,created,ask
2,3700,1000,100.0,0.5,created,ask
3,1170,1100,99.0,0.7,created,bid
3,1171,1100,99.0,0.7,deleted,bid
4,1270,1200,999999999.0,0.8,created,bid
4,1270,1200,100.0,0.3,changed,bid
2,1270,1200,100.0,0.0,deleted,ask
4,1271,1200,101.0,0.0,deleted,bid
1,1271,1200,101.0,1.7,changed,ask
5,1280,1200,102.0,0.1,created,ask
1,1900,1900,101.0,1.7,deleted,ask
5,1900,1900,102.0,0.1,deleted,ask
"""
TRADES = """\
trade_id,timestamp,exchange_timestamp,price,amount,buy_order_id,sell_order_id,side
77,1290,1200,100.0,0.5,4,2,buy
78,1291,1200,101.0,0.3,4,1,buy
"""


def converted(orders=ORDERS, trades=TRADES):
    return list(convert(orders.splitlines(keepends=True), trades.splitlines(keepends=True)))


def market(*files):
    return [event for part, event in converted(*files) if part == "market"]


def test_the_venues_messages_become_market_events_with_what_is_left_of_the_order():
    assert market()[0] == {
        "event_id": "bs-3.0",
        "symbol": "BTC-USD",
        "action": "created",
        "order_id": "3",
        "side": "bid",
        "price": 99.0,
        "qty": 0.7,
        "ts": 1100,
    }
    assert [(e["event_id"], e["action"], e.get("qty")) for e in market() if e.get("order_id") == "4"] == [
        ("bs-4.0", "created", 0.8),
        ("bs-4.1", "changed", 0.3),
        ("bs-4.2", "deleted", 0.0),
    ]


def test_a_trade_stands_right_after_the_two_order_events_that_it_made():
    at_1200 = [e["event_id"] for e in market() if e["ts"] == 1200]
    assert at_1200 == ["bs-4.0", "bs-4.1", "bs-2.1", "bs-t77", "bs-4.2", "bs-1.1", "bs-t78", "bs-5.0"]


def test_a_trade_carries_both_orders_and_the_aggressors_side():
    trade = next(e for e in market() if e["event_id"] == "bs-t77")
    assert (trade["side"], trade["price"], trade["qty"]) == ("bid", 100.0, 0.5)
    assert (trade["buy_order_id"], trade["sell_order_id"]) == ("4", "2")
    sold = market(ORDERS, TRADES.replace(",buy\n", ",sell\n"))
    assert {e["side"] for e in sold if e["action"] == "trade"} == {"ask"}


def test_the_book_at_the_beginning_is_apart_and_what_the_capture_made_up_at_its_end_is_no_event():
    parts = {part: [e["event_id"] for p, e in converted() if p == part] for part in ("book", "closing")}
    assert parts == {"book": ["bs-1.0", "bs-2.0"], "closing": ["bs-1.2", "bs-5.1"]}
    assert not {"bs-1.0", "bs-2.0", "bs-1.2", "bs-5.1"} & {e["event_id"] for e in market()}


def test_rows_out_of_order_are_sorted_by_the_venues_time_and_rows_of_one_time_stay_as_they_were():
    header, *rows = ORDERS.splitlines(keepends=True)
    early = [row for row in rows if row.split(",")[2] in {"1000", "1100"}]
    late = [row for row in rows if row not in early]
    assert converted(header + "".join(early[:2] + late + early[2:])) == converted()


def test_a_trade_without_order_events_stands_at_the_end_of_its_time():
    trades = TRADES + "79,1300,1200,100.0,0.1,8,9,sell\n80,1999,1950,100.0,0.1,8,9,sell\n"
    ids = [e["event_id"] for e in market(ORDERS, trades)]
    assert ids[-3:] == ["bs-5.0", "bs-t79", "bs-t80"]


@pytest.mark.parametrize(
    ("orders", "trades", "said"),
    [
        (ORDERS.replace("volume,", "", 1), TRADES, "orders.csv: .*volume is missing"),
        (ORDERS.replace("99.0,0.7,created", "cheap,0.7,created"), TRADES, "orders.csv, line 4: .*cheap"),
        (ORDERS.replace(",bid\n", ",up\n", 1), TRADES, "line 4: unknown .*'up'"),
        (ORDERS.replace(",bid\n", "\n", 1), TRADES, "line 4: expected 7 values, got 6"),
        (ORDERS.replace("1170,1100,", "1170,soon,"), TRADES, "orders.csv, line 4: .*soon"),
        (ORDERS, TRADES.replace(",0.5,", ",half,"), "trades.csv, line 2: .*half"),
        (ORDERS, TRADES.replace(",buy\n", ",up\n"), "trades.csv, line 2: .*'up'"),
        (ORDERS, TRADES.replace("1290,1200,", "1290,,"), "trades.csv, line 2"),
    ],
)
def test_a_file_that_is_not_as_expected_is_refused_with_its_line(orders, trades, said):
    with pytest.raises(CaptureError, match=said):
        converted(orders, trades)


@pytest.fixture
def sample(tmp_path):
    (tmp_path / "in").mkdir()
    orders, trades = tmp_path / "in" / "orders.csv.gz", tmp_path / "in" / "trades.csv"
    orders.write_bytes(gzip.compress(ORDERS.encode()))
    trades.write_text(TRADES)
    folder = tmp_path / "data" / dataset.NAME
    folder.mkdir(parents=True)
    manifest = dataset.convert_files(orders, trades, folder, lambda _what, _done: None)
    return tmp_path, manifest


def test_the_files_written_are_records_of_the_market_stream(sample):
    home, manifest = sample
    data = dataset.load(home)
    stream = m1cep.parse_streams(STREAMS_SQL.read_text())["market"]
    rows, errors, _ = stream.decode_many(list(data.market_records()))
    assert errors == []
    assert [row.event_id for row in rows] == [e["event_id"] for e in market()]
    assert stream.decode_many(data.book.read_bytes().splitlines())[1] == []
    assert data.events == len(rows) == 10
    assert data.span_ms == (1100, 1200)
    assert manifest["events"] == {
        "market": 10,
        "book": 2,
        "by_action": {"changed": 2, "created": 3, "deleted": 3, "trade": 2},
    }
    assert list(manifest["left_out"].values()) == [2]
    assert manifest["source"]["licence"] == "GPL-2.0-or-later"


@pytest.mark.parametrize("name", ["market.ndjson", "book.ndjson", "manifest.json"])
def test_a_dataset_that_is_not_whole_is_as_good_as_none(sample, name):
    home, _ = sample
    assert dataset.load(home) is not None
    damaged = home / "data" / dataset.NAME / name
    damaged.write_bytes(damaged.read_bytes()[:-20])
    assert dataset.load(home) is None


def test_a_dataset_of_another_format_is_made_again(sample, monkeypatch):
    home, _ = sample
    monkeypatch.setattr(dataset, "FORMAT", dataset.FORMAT + 1)
    assert dataset.load(home) is None
