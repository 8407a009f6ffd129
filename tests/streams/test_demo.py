"""The demo as a stranger runs it: two processes and a broker, alerts on stdout, a summary, nothing left behind."""

import json
import os
import signal
import socket
import subprocess
from decimal import Decimal

import pytest

pytestmark = pytest.mark.broker

PLANTED_RULES = {"layering", "wash-trade", "account-takeover", "structuring"}


# Not forked: libraries that are imported already say more when the broker goes than they do in a process of its own.


def run_demo(m1cep, *options, **environment):
    """Alerts, summary, what was said on stderr."""
    done = m1cep("demo", "--json", *options, timeout_s=200, whole=True, **environment)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert set(lines[-1]) == {"summary"}
    return lines[:-1], lines[-1]["summary"], done.stderr


@pytest.fixture(scope="module")
def whole(m1cep_of_module):
    """One run of half an hour of event time, with the real data where the package index can be reached."""
    return run_demo(m1cep_of_module)


def test_every_planted_attack_is_found_and_nothing_else(whole):
    alerts, summary, _ = whole
    assert summary["attacks"] == {"planted": 12, "found": 12, "missed": [], "unexplained": 0}
    assert {a["rule"] for a in alerts} >= PLANTED_RULES
    assert summary["alerts"] == len(alerts) == len({a["id"] for a in alerts}) == sum(summary["alerts_by_rule"].values())
    assert summary["events"] > 250_000
    assert summary["dead_letters"] == 21  # as many damaged records as the feed has
    assert summary["late"] == 0
    assert summary["alert_latency_ms"]["p50"] <= summary["alert_latency_ms"]["p99"]


def test_orders_pass_the_pretrade_check_and_fills_are_booked(whole):
    alerts, summary, _ = whole
    assert summary["ledger"]["postings"] > 1_000
    assert summary["ledger"] == {"postings": summary["ledger"]["postings"], "balanced": True, "risk_can_write": False}
    assert summary["rpc"]["checks"] > 1_000
    assert summary["rpc"]["rejected"] > 0
    assert summary["rpc"]["frozen"] == {a["key"]["account"]: a["id"] for a in alerts if a["rule"] == "account-takeover"}


def test_vaults_release_what_no_alert_stops(whole):
    alerts, summary, told = whole
    released = {"bitcoin:regtest": 1, "evm:31337": 1, "solana:local": 1}
    ended = {"requests": 6, "released": released, "rejected": 2, "expired": 1, "signer_processes": 3}
    assert summary["custody"] == ended
    takeovers = [alert["id"] for alert in alerts if alert["rule"] == "account-takeover"]
    [refused] = [line for line in told.splitlines() if "rejected: demo-attacked" in line]
    assert any(found in refused for found in takeovers)


def test_vaults_sign_that_what_is_owed_is_there_and_a_customer_checks(whole):
    _, summary, _ = whole
    reserves, vaults = summary["reserves"], {"bitcoin:regtest/BTC", "evm:31337/ETH", "solana:local/SOL"}
    assert reserves["statements"] >= 2
    assert reserves["addresses"] == 4
    assert {name for name, one in reserves["assets"].items() if one["covered"] and int(one["owed_units"])} == vaults
    for name in vaults:  # released, with its fee, and booked: nothing is left over
        assert reserves["assets"][name]["units"] == reserves["assets"][name]["owed_units"]
    assert reserves["proof"]["true"]
    assert reserves["proof"]["said"].startswith("bitcoin:regtest/BTC: 0.48")


def test_a_grid_trades_against_the_real_flow(whole):
    alerts, summary, told = whole
    if not summary["real_data"]:
        pytest.skip("the package index is not reachable")
    grid = summary["grid"]
    assert grid["generations"] >= 4, "fewer than three re-creations"
    assert grid["fills"] > 0
    assert Decimal(grid["grid_profit"]) + Decimal(grid["floating_pnl"]) == Decimal(grid["equity_change"])
    assert (grid["unexplained"], grid["state"]) == ("0", "live")
    assert grid["halts"] >= 1
    halting = [alert["id"] for alert in alerts if alert["rule"] == "price-band"]
    assert any(f"the grid is halted by alert {found}" in told for found in halting)


@pytest.mark.slow
def test_it_ends_after_the_seconds_asked_for_also_without_a_package_index(m1cep, tmp_path):
    nowhere = "http://127.0.0.1:9/simple"
    offline = {
        "PIP_INDEX_URL": nowhere,
        "PIP_FIND_LINKS": str(tmp_path),
        "PIP_RETRIES": "0",
        "PIP_CONFIG_FILE": os.devnull,
        "UV_DEFAULT_INDEX": nowhere,
        "UV_FIND_LINKS": str(tmp_path),
        "UV_HTTP_RETRIES": "0",
    }
    alerts, summary, told = run_demo(m1cep, "--seconds", "3", "--speed", "20", "--no-attacks", **offline)
    assert summary["seconds"] > 2.5
    assert 0 < summary["events"] < 100_000  # the whole half hour has more than 250,000
    assert alerts == []  # for half an hour without attacks see tests/golden/test_everyday.py
    assert (summary["rpc"]["rejected"], summary["rpc"]["frozen"]) == (0, {})
    assert summary["real_data"] is False
    assert "no real market data, the synthetic flow alone" in told
    assert "Traceback" not in told


def processes(pid):
    """Every process below ``pid``: (pid, whole command line; without -ww it is cut at $COLUMNS). Numbers wrap around."""
    listed = subprocess.run(["ps", "-ww", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True)
    lines = [line.split(None, 2) for line in listed.stdout.splitlines()[1:]]
    below = {pid}
    while more := {int(child) for child, parent, *_ in lines if int(parent) in below} - below:
        below |= more
    return [(int(child), " ".join(command)) for child, _, *command in lines if int(child) in below - {pid}]


@pytest.fixture
def running_demo(start_m1cep, eventually):
    demo = start_m1cep("demo", "--json", "--no-real", "--speed", "5", whole=True)
    assert eventually(lambda: len([c for _, c in processes(demo.pid) if "feeder" in c]) >= 1, timeout_s=60)
    return demo


@pytest.mark.slow
def test_a_killed_broker_ends_it_with_one_line_and_nothing_left_running(running_demo, eventually, alive):
    below = processes(running_demo.pid)
    brokers = [p for p, c in below if "tansu" in c and "guard" not in c]
    assert len(brokers) == 1, below
    os.kill(brokers[0], signal.SIGKILL)
    _, errors = running_demo.communicate(timeout=200)
    assert running_demo.returncode == 3
    [line] = [line for line in errors.splitlines() if line.startswith("m1cep: ")]
    assert "broker" in line
    assert "Traceback" not in errors
    assert eventually(lambda: not any(alive(p) for p, _ in below))


def test_ctrl_c_while_it_starts_ends_it_at_once_with_nothing_left_running(start_m1cep, eventually, alive):
    demo = start_m1cep("demo", "--json", "--no-real", whole=True)
    assert eventually(lambda: any("--agents signer" in c for _, c in processes(demo.pid)), timeout_s=60)
    below = processes(demo.pid)
    demo.send_signal(signal.SIGINT)
    output, errors = demo.communicate(timeout=200)
    assert (demo.returncode, output) == (130, "")
    assert errors.splitlines()[-1] == "m1cep demo: ended before it began to feed"
    assert eventually(lambda: not any(alive(p) for p, _ in below))


def test_a_web_port_that_is_taken_is_said_before_anything_starts(m1cep):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = m1cep("demo", "--json", "--no-real", timeout_s=200, M1CEP_WEB_PORT=str(port))
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert f"port {port} is taken" in line


@pytest.mark.slow
def test_ctrl_c_ends_it_with_the_summary_and_nothing_left_running(running_demo, eventually, alive):
    """SIGTERM does the same: what hears both is that of `m1cep broker`, which is tested with each."""
    below = processes(running_demo.pid)
    running_demo.send_signal(signal.SIGINT)
    output, _ = running_demo.communicate(timeout=200)
    assert running_demo.returncode == 0
    assert "summary" in json.loads(output.splitlines()[-1])
    assert eventually(lambda: not any(alive(p) for p, _ in below))
