"""``m1cep grid backtest`` as a user calls it."""

import json
import sys
import xml.etree.ElementTree as ET
from decimal import Decimal

import numpy as np
import pytest

from m1cep.errors import GridError
from m1cep.grid.backtest import BacktestOptions, backtest
from m1cep.grid.orders import Market
from m1cep.grid.plan import History, PlanOptions, Sizing, Spacing
from streams.cli.main import main

OPTIONS = ["--capital", "10000", "--maker-fee", "0.001", "--tick", "0.1", "--lot", "0.0001", "--min-notional", "5"]
MARKET = Market("base-quote", Decimal("0.1"), Decimal("0.0001"), Decimal(5), Decimal("0.001"), Decimal("0.001"))
START_MS = 1_777_593_600_000  # 2026-05-01 00:00:00


def rows(count=600, seed=5):
    """(time_ms, price, quantity) of a random walk, one every five seconds."""
    path = 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.003, count)))
    return [(START_MS + n * 5_000, price, 30.0) for n, price in enumerate(path.round(1).tolist())]


@pytest.fixture
def csv(tmp_path):
    file = tmp_path / "trades.csv"
    file.write_text("time_ms,price,qty\n" + "".join(f"{t},{p},{q}\n" for t, p, q in rows()))
    return str(file)


@pytest.fixture
def m1cep(capsys, monkeypatch):
    """Runs a command in this process: exit code, stdout, stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["m1cep", "grid", "backtest", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return run


def expected():
    found = backtest(History.of_trades(rows()), MARKET, PlanOptions(capital=Decimal(10_000)), BacktestOptions())
    return json.loads(json.dumps(found.to_dict()))


def test_the_json_is_the_backtest_of_the_same_history(m1cep, csv):
    code, out, _ = m1cep("--history", csv, *OPTIONS, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["history"] == csv
    assert found["speed"]["rows"] == 600
    assert found["speed"]["rows_per_s"] > 0
    assert {name: found[name] for name in ("plan", "in_sample", "out_of_sample")} == expected()
    assert found["out_of_sample"]["unexplained"] == "0"
    assert found["out_of_sample"]["fills"] > 10


def test_every_option_reaches_the_backtest(m1cep, csv, monkeypatch):
    given = []

    def refuse(_history, *arguments):
        given.extend(arguments[:3])
        raise GridError("seen")

    monkeypatch.setattr("m1cep.grid.backtest.backtest", refuse)
    options = ["--in-sample", "0.25", "--latency", "2 s", "--touch", "--stop-loss", "0.04", "--take-profit", "0.05"]
    options += ["--trail-up", "0.01", "--trail-down", "0.02", "--sizing", "base", "--spacing", "arithmetic"]
    options += ["--per-level", "3", "--horizon", "1h", "--max-gap", "2h", "--max-orders", "6", "--fee-margin", "2"]
    options += ["--taker-fee", "0.002", "--symbol", "A-B"]
    assert m1cep("--history", csv, *OPTIONS, *options)[0] == 1
    assert given == [
        Market("A-B", Decimal("0.1"), Decimal("0.0001"), Decimal(5), Decimal("0.001"), Decimal("0.002")),
        PlanOptions(
            capital=Decimal(10_000),
            sizing=Sizing.BASE,
            spacing=Spacing.ARITHMETIC,
            per_level=Decimal(3),
            horizon_ms=3_600_000,
            max_gap_ms=7_200_000,
            max_orders=6,
            fee_margin=Decimal(2),
        ),
        BacktestOptions(
            in_sample=Decimal("0.25"),
            latency_ms=2_000,
            touch=True,
            stop_loss=Decimal("0.04"),
            take_profit=Decimal("0.05"),
            trail_up=Decimal("0.01"),
            trail_down=Decimal("0.02"),
        ),
    ]


def test_the_table_has_the_money_of_both_parts_and_what_to_think_of_it(m1cep, csv):
    code, out, _ = m1cep("--history", csv, *OPTIONS)
    assert code == 0
    made = expected()
    for part in ("in_sample", "out_of_sample"):
        for amount in (made[part]["equity"], made[part]["fees"], made[part]["buy_and_hold"]["equity"]):
            assert f"{Decimal(amount):,.2f}" in out
    assert "600 trades in " in out
    assert "only what it did out of sample says anything" in out
    assert "a plain grid has an expected return of zero before fees" in out


def test_a_plan_that_has_seen_everything_says_so(m1cep, csv):
    out = m1cep("--history", csv, *OPTIONS, "--in-sample", "1")[1]
    assert "the plan has seen all of this history" in out
    assert "out of sample" not in out.replace("out of sample says anything", "")


def test_the_picture_shows_both_parts(m1cep, csv, tmp_path):
    picture = tmp_path / "backtest.svg"
    assert m1cep("--history", csv, *OPTIONS, "--json", "--plot", picture)[0] == 0
    drawn = ET.fromstring(picture.read_text())
    assert len(drawn.findall(".//{*}polyline")) == 18
    texts = " ".join(text.text or "" for text in drawn.findall(".//{*}text"))
    made = expected()["out_of_sample"]
    assert f"{Decimal(made['change']) / 10_000:+.2%}, buy and hold" in texts


@pytest.mark.parametrize(
    ("options", "code", "why"),
    [
        (["--in-sample", "0.95"], 1, "too short to be split: of 600 rows 570 would be seen by the plan and 30 not"),
        (["--in-sample", "0"], 1, "expected a share in sample above 0 and up to 1, got 0"),
        (["--latency", "5s"], 1, "expected a latency from 0 to 2000 ms, got 5000"),
        (["--stop-loss", "20"], 1, "expected a stop_loss that is a share of the price"),
        (["--maker-fee", "0.05"], 1, "fees make every grid lose on this history"),
        (["--tick", "0"], 1, "expected a tick above 0, got 0"),
        (["--tick", "1000"], 1, "got 93.1 to 100.2 with a tick of 1000"),
        (["--lot", "-1"], 1, "expected a lot above 0, got -1"),
        (["--history", "nowhere.csv"], 2, "there is no such file"),
        (["--latency", "soon"], 2, "expected a duration"),
        (["--stop-loss", "much"], 2, "expected a number"),
        (["--plot", "x.png"], 2, "pictures are SVG"),
    ],
)
def test_what_cannot_be_run_is_refused_in_a_line(m1cep, csv, options, code, why):
    found, out, err = m1cep("--history", csv, *OPTIONS, *options)
    assert (found, out) == (code, "")
    assert why in err
    assert "Traceback" not in err
