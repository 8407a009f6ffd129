"""``m1cep grid plan`` as a user calls it: files in, a grid out, and what is said about files that cannot be used."""

import json
import sys
import xml.etree.ElementTree as ET
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from m1cep.errors import GridError
from m1cep.grid.orders import Market
from m1cep.grid.plan import History, PlanOptions, plan_grid
from streams.cli.main import main
from streams.config import load_settings
from streams.errors import UsageError
from streams.grid.history import load_history
from streams.grid.plot import draw

OPTIONS = ["--capital", "10000", "--maker-fee", "0.001", "--tick", "0.01", "--lot", "0.0001", "--min-notional", "5"]
START_MS = 1_777_593_600_000  # 2026-05-01 00:00:00


def rows(count=2_000, seed=1):
    """(time_ms, price) of a random walk, one a minute."""
    path = 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.002, count)))
    return [(START_MS + n * 60_000, price) for n, price in enumerate(path.round(2).tolist())]


@pytest.fixture
def write(tmp_path):
    def to(name, text):
        file = tmp_path / name
        file.write_text(text)
        return str(file)

    return to


@pytest.fixture
def csv(write):
    return write("trades.csv", "time_ms,price,qty\n" + "".join(f"{t},{p},1\n" for t, p in rows()))


@pytest.fixture
def m1cep(capsys, monkeypatch):
    """Runs a command in this process: exit code, stdout, stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["m1cep", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return run


def load(source, symbol=None):
    return load_history(source, load_settings(), symbol)


def test_the_json_is_the_plan_of_the_same_history(m1cep, csv):
    code, out, _ = m1cep("grid", "plan", "--history", csv, *OPTIONS, "--json")
    assert code == 0
    market = Market("base-quote", Decimal("0.01"), Decimal("0.0001"), Decimal(5), Decimal("0.001"), Decimal("0.001"))
    history = History.of_trades([(t, p, 1.0) for t, p in rows()])
    expected = plan_grid(history, market, PlanOptions(capital=Decimal(10_000)))
    assert json.loads(out) == {"history": csv, **json.loads(json.dumps(expected.to_dict()))}


def test_the_table_has_every_level_reason_and_note(m1cep, csv):
    code, out, _ = m1cep("grid", "plan", "--history", csv, *OPTIONS)
    assert code == 0
    found = json.loads(m1cep("grid", "plan", "--history", csv, *OPTIONS, "--json")[1])
    for level in found["levels"]:
        assert f"{Decimal(level['price']):,.2f}" in out
        assert level["quantity"] in out
    for reason in found["reasons"]:
        assert reason["name"] in out
        assert reason["value"] in out
    assert "note: a plain grid has an expected return of zero before fees" in out


def test_options_reach_the_plan(m1cep, csv):
    options = [
        "--sizing",
        "base",
        "--spacing",
        "arithmetic",
        "--per-level",
        "0.5",
        "--max-orders",
        "4",
        "--horizon",
        "90 min",
    ]
    found = json.loads(
        m1cep("grid", "plan", "--history", csv, *OPTIONS, *options, "--fee-margin", "2", "--centre", "99", "--json")[1]
    )
    assert (found["sizing"], found["spacing"], found["horizon_ms"], found["centre"]) == (
        "base",
        "arithmetic",
        5_400_000,
        "99",
    )
    assert {level["quantity"] for level in found["levels"] if level["side"] == "buy"} == {"0.5"}
    assert len(found["levels"]) == 4
    assert Decimal(found["step_up"]) >= 2 * Decimal("0.002")


def test_trades_read_the_same_from_every_format(csv, write, tmp_path):
    expected = load(csv)
    market = "".join(
        f'{{"action":"created","ts":{t},"price":1,"qty":5,"symbol":"A-B"}}\n'
        f'{{"action":"trade","ts":{t},"price":"{p}","qty":1,"symbol":"A-B"}}\n'
        for t, p in rows()
    )
    pl.DataFrame({"Timestamp": [t for t, _ in rows()], "Price": [p for _, p in rows()], "Size": 1.0}).with_columns(
        pl.from_epoch("Timestamp", "ms").dt.replace_time_zone("UTC")
    ).write_parquet(tmp_path / "trades.parquet")
    texts = "time,price,amount\n" + "".join(
        f"{np.datetime64(t, 'ms').item():%Y-%m-%d %H:%M:%S},{p},1\n" for t, p in rows()
    )
    for other in (write("market.ndjson", market), str(tmp_path / "trades.parquet"), write("texts.csv", texts)):
        found = load(other)
        assert found.kind == expected.kind
        for column in ("time_ms", "close", "high", "volume"):
            assert getattr(found, column).tolist() == getattr(expected, column).tolist(), (other, column)


def test_the_index_that_pandas_writes_without_a_name_is_the_time(csv, write):
    file = write("pandas.csv", ",Price\n" + "".join(f"{t},{p}\n" for t, p in rows()))
    assert load(file).time_ms.tolist() == load(csv).time_ms.tolist()


def test_real_candles_are_fetched_once_and_planned_on(m1cep, tmp_path, monkeypatch):
    monkeypatch.setenv("M1CEP_HOME", str(tmp_path))
    options = [
        "--history",
        "eurusd",
        "--capital",
        "10000",
        "--maker-fee",
        "0.0001",
        "--tick",
        "0.00001",
        "--lot",
        "1",
        "--json",
    ]
    code, _, err = m1cep("grid", "plan", *options)
    if code == 4:
        pytest.skip(f"the package index is not reachable: {err.strip()}")
    assert code == 1
    assert "gaps longer than 5 h (5 candles); the longest, " in err
    monkeypatch.setattr("streams.grid.eurusd.fetch_files", None)  # it is there: nothing is asked for again
    code, out, err = m1cep("grid", "plan", *options, "--max-gap", "4d")
    assert code == 0, err
    found = json.loads(out)
    assert found["reasons"][0]["value"] == "5000 candles in 294 d"
    assert not any("traded per move" in note for note in found["notes"])
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["eurusd-hourly.csv"]


@pytest.mark.parametrize("factor", [1_000, 1_000_000])
def test_epoch_times_are_understood_by_their_size(csv, write, factor):
    finer = write("finer.csv", "time,price,qty\n" + "".join(f"{t * factor},{p},1\n" for t, p in rows()))
    seconds = write("seconds.csv", "time,price,qty\n" + "".join(f"{t // 1_000},{p},1\n" for t, p in rows()))
    assert load(finer).time_ms.tolist() == load(seconds).time_ms.tolist() == load(csv).time_ms.tolist()


def test_candles_are_told_by_their_columns(write):
    lines = "".join(f"{t},{p},{p + 1},{p - 1},{p},7\n" for t, p in rows(60))
    found = load(write("candles.csv", "Open_Time,Open,High,Low,Close,Volume\n" + lines))
    assert found.kind == "candles"
    assert found.high.tolist() == [p + 1 for _, p in rows(60)]
    assert found.volume.tolist() == [7.0] * 60


def test_of_several_symbols_one_must_be_chosen(write):
    lines = "".join(f"{t},A-B,{p}\n{t},C-D,{2 * p}\n" for t, p in rows(60))
    file = write("two.csv", "time,symbol,price\n" + lines)
    with pytest.raises(UsageError, match="2 symbols, A-B, C-D: say which one with --symbol"):
        load(file)
    assert load(file, "C-D").close.tolist() == [2 * p for _, p in rows(60)]


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("missing.csv", None, "there is no such file"),
        ("history.txt", "x", r"expected bitstamp, eurusd or a file named \*.csv, \*.ndjson"),
        ("empty.csv", "", "is not CSV: empty CSV"),
        ("bad.ndjson", '{"ts":1,"price":1}\n{nonsense\n', "is not NDJSON"),
        ("bad.parquet", "nonsense", "is not PARQUET"),
        ("columns.csv", "a,b\n1,2\n", r"expected a time \(time_ms, ts.* and either price or open.*, got a, b"),
        ("price.csv", "ts,price\n1000,5\n2000,x\n", "row 2: expected a number in price, got 'x'"),
        ("hole.csv", "ts,price\n1000,5\n2000,\n", "row 2: expected a number in price, got nothing"),
        (
            "time.csv",
            "ts,price\n2026-05-01 00:00:00,5\nyesterday,5\n",
            "row 2: expected a time such as .* got 'yesterday'",
        ),
        (
            "mixed.csv",
            "ts,price\n1000,5\nyesterday,5\n",
            "row 2: expected epoch seconds, ms, us or ns in ts, got 'yesterday'",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_row(tmp_path, name, text, why):
    file = tmp_path / name
    if text is not None:
        file.write_text(text)
    with pytest.raises(UsageError, match=why):
        load(str(file))


def test_a_history_that_cannot_be_is_one_line_and_exit_code_1(m1cep, write):
    file = write("zero.csv", "time_ms,price\n" + "".join(f"{n},{n % 7}\n" for n in range(60)))
    code, out, err = m1cep("grid", "plan", "--history", file, *OPTIONS)
    assert (code, out) == (1, "")
    assert err == (
        "m1cep: row 1 of the history (1970-01-01 00:00:00.000): expected a price above zero, got 0.0 (9 such rows)\n"
    )
    with pytest.raises(GridError):
        load(file)


def test_fees_that_every_step_would_lose_on_are_refused_with_the_numbers(m1cep, csv):
    dear = [*OPTIONS[:2], "--maker-fee", "0.05", *OPTIONS[4:]]
    code, _, err = m1cep("grid", "plan", "--history", csv, *dear)
    assert code == 1
    assert "fees make every grid lose on this history: 5% on each side take all of a step of 10.5263%" in err


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--plot", "x.png"], "pictures are SVG"),
        (["--plot", "/nowhere/x.svg"], "there is no folder /nowhere"),
        (["--horizon", "soon"], "expected a duration"),
        (["--centre", "much"], "expected a number"),
        (["--sizing", "large"], "large"),
    ],
)
def test_an_option_that_cannot_be_is_exit_code_2(m1cep, csv, options, why):
    code, _, err = m1cep("grid", "plan", "--history", csv, *OPTIONS, *options)
    assert code == 2
    assert why in err


def test_the_picture_has_the_price_every_level_and_the_counts(m1cep, csv, tmp_path):
    picture = tmp_path / "plan.svg"
    code, out, _ = m1cep("grid", "plan", "--history", csv, *OPTIONS, "--json", "--plot", picture)
    assert code == 0
    drawn = ET.fromstring(picture.read_text())
    levels = json.loads(out)["levels"]
    lines = [line.get("stroke") for line in drawn.findall(".//{*}line")]
    assert lines.count("#15803d") == 2 * sum(level["side"] == "buy" for level in levels)
    assert lines.count("#b91c1c") == 2 * sum(level["side"] == "sell" for level in levels)
    curves = [line.get("points").split() for line in drawn.findall(".//{*}polyline")]
    assert len(curves) == 5  # price, excursions up and down, power law, gains
    assert all(
        0 <= float(x) <= 1100 and 0 <= float(y) <= 860 for points in curves for x, y in (p.split(",") for p in points)
    )


def test_a_long_history_is_drawn_with_its_extremes():
    path = [100.0 + n % 3 for n in range(20_000)]
    path[19_000] = 150.0
    history = History.of_trades([(n * 1_000, price, 1.0) for n, price in enumerate(path)])
    market = Market("A-B", Decimal("0.01"), Decimal("0.001"), maker_fee=Decimal("0.001"))
    found = plan_grid(history, market, PlanOptions(capital=Decimal(1_000)))
    price = ET.fromstring(draw(found, history)).find(".//{*}polyline")
    points = [tuple(map(float, point.split(","))) for point in price.get("points").split()]
    assert len(points) <= 700
    assert min(y for _, y in points) < 120  # 150 is at the top, all else far below
    assert sorted(y for _, y in points)[1] > 300


def test_without_the_extra_the_command_says_what_to_install(m1cep, csv, monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "polars" else object())
    code, _, err = m1cep("grid", "plan", "--history", csv, *OPTIONS)
    assert code == 2
    assert "the extra grid is needed, polars not installed; pip install 'm1cep[grid]'" in err
