"""What ``m1cep doctor`` finds without servers; tests/streams/test_doctor_command.py has them."""

import json
import socket
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli import app
from streams.config import Settings
from streams.doctor import Finding, exit_code
from streams.doctor.installation import EXTRAS
from streams.doctor.signers import of_workers

ROOT = Path(__file__).parents[3]


@pytest.fixture
def doctor(tmp_path, monkeypatch):
    """Runs it in an empty folder: its exit code and what it found, by name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("M1CEP_HOME", str(tmp_path / "home"))

    def run():
        result = CliRunner().invoke(app, ["doctor", "--offline", "--json"])
        assert not isinstance(result.exception, Exception), result.exception
        found = [json.loads(line) for line in result.output.splitlines()]
        return result.exit_code, {one["name"]: one for one in found}, result.output

    return run


def test_without_a_broker_that_was_named_nothing_fails(doctor):
    code, found, _ = doctor()
    assert found["python"]["verdict"] == "ok"
    assert found["packages"]["verdict"] == "ok"
    assert code == 0


def test_a_broker_that_was_named_and_is_not_there_is_a_missing_server(doctor, monkeypatch):
    monkeypatch.setenv("M1CEP_BROKER", "127.0.0.1:1")
    code, found, _ = doctor()
    assert code == 3
    assert found["broker"]["verdict"] == "fail"
    assert "m1cep broker" in found["broker"]["remedy"]


def test_each_setting_is_shown_with_where_it_came_from(doctor, monkeypatch, tmp_path):
    (tmp_path / "m1cep.toml").write_text("rpc_port = 50099\n")
    monkeypatch.setenv("M1CEP_VENUE_SETTLE_S", "3.5")
    _, found, _ = doctor()
    assert found["rpc_port"]["text"] == "50099 (m1cep.toml)"
    assert found["venue_settle_s"]["text"] == "3.5 (M1CEP_VENUE_SETTLE_S)"
    assert found["venue"]["text"] == "not set (default)"
    assert set(Settings.model_fields) <= set(found)


def test_no_secret_is_shown_nor_a_piece_of_one(doctor, monkeypatch):
    monkeypatch.setenv("M1CEP_DB_WRITE_URL", "postgresql://m1cep:s3same@127.0.0.1:1/m1cep")
    monkeypatch.setenv("M1CEP_CACHE_URL", "redis://m1cep:open/s3same@127.0.0.1:1/0")  # not quoted as it should be
    monkeypatch.setenv("M1CEP_SIGNER_PASSPHRASE", "x://s3same")
    code, found, text = doctor()
    assert found["db_write_url"]["text"]
    assert "s3same" not in text
    assert "open" not in found["cache_url"]["text"]
    assert code in {1, 3}


def test_settings_that_cannot_be_read_are_a_finding_and_the_rest_is_looked_at(doctor, monkeypatch):
    monkeypatch.setenv("M1CEP_BROKR", "x")
    code, found, _ = doctor()
    assert code == 1
    assert "did you mean M1CEP_BROKER?" in found["settings"]["remedy"]
    assert found["python"]["verdict"] == "ok"


def test_a_file_that_is_named_and_not_there_fails(doctor, monkeypatch, tmp_path):
    monkeypatch.setenv("M1CEP_SIGNER_PASSPHRASE_FILE", str(tmp_path / "none"))
    code, found, _ = doctor()
    assert (code, found["signer_passphrase_file"]["verdict"]) == (1, "fail")


def test_a_port_that_is_taken_is_told(doctor, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("M1CEP_WEB_PORT", str(taken.getsockname()[1]))
        _, found, _ = doctor()
    assert found["web port"]["verdict"] == "warn"


def test_servers_alone_are_3_and_anything_else_is_1():
    fine = Finding("a", "b", "ok", "")
    server = Finding("a", "b", "fail", "", server=True)
    other = Finding("a", "b", "fail", "")
    assert exit_code([fine, Finding("a", "b", "warn", "")]) == 0
    assert exit_code([fine, server]) == 3
    assert exit_code([server, other]) == 1


def test_every_extra_of_the_package_is_known():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras) == set(EXTRAS)


DAY_MS = 86_400_000


def worker(name, count, oldest_ms, *, alive=True):
    about = {"signer": name, "open_alerts": count, "oldest_alert_ms": oldest_ms}
    agents = {"signer": about, "risk": {"alerts": 5}}
    return {"agents": agents, "alive": alive}


def test_what_signers_wait_for_people_to_close_is_told_and_warned_of_where_the_topic_has_it_no_more():
    now_ms = 100 * DAY_MS
    assert list(of_workers([{"agents": {"risk": {}}, "alive": True}], now_ms)) == []
    assert list(of_workers([worker(1, 3, 7, alive=False)], now_ms)) == []
    (none,) = of_workers([worker(1, 0, None)], now_ms)
    assert (none.verdict, none.text) == ("ok", "signer 1: 0")
    young = worker(1, 1200, now_ms - DAY_MS)
    (found,) = of_workers([worker(2, 3, now_ms - 30 * DAY_MS), young], now_ms)
    assert (found.verdict, found.text) == ("ok", "signer 1: 1,200, signer 2: 3; the oldest is 30.0 days old")
    (found,) = of_workers([young, worker(2, 3, now_ms - 31 * DAY_MS)], now_ms)
    assert (found.verdict, "custody alerts" in found.remedy) == ("warn", True)
