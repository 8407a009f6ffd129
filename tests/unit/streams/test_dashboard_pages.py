"""The dashboard's HTTP: the forms that the page was built on, who may ask, streams that are taken up again."""

import asyncio
import socket
from pathlib import Path

import orjson
import pytest
from dashboardworld import NASTY, World, read_events

from streams.web.dashboard import hub, stream

SAMPLES = Path(__file__).parents[2] / "web" / "samples"
OURS = {"X-M1CEP": "1"}


def run(scenario, **users):
    world = World()

    async def go():
        async with world.served(**users) as client:
            return await scenario(world, client)

    return asyncio.run(go())


def test_html_in_an_account_name_is_data_everywhere():
    async def scenario(world, client):
        world.raise_alert(1, account=NASTY)
        async with client.get("/events", params={"account": NASTY, "after": "-1@0.0"}) as answer:
            streamed = (await read_events(answer, 1))[0][2]
        found = []
        for path in ("/api/alerts", f"/api/alerts/{1:032x}"):
            async with client.get(path, params={"account": NASTY}) as answer:
                assert answer.content_type == "application/json"
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
                found.append(await answer.json())
        return streamed, found[0]["alerts"][0]["alert"], found[1]["alert"]

    for one in run(scenario):
        assert one["key"]["account"] == NASTY


def covers(sample, real, where=""):
    """Fields of the sample that the real thing lacks."""
    if isinstance(sample, dict) and isinstance(real, dict):
        for name, one in sample.items():
            if name in real:
                yield from covers(one, real[name], f"{where}.{name}")
            else:
                yield f"{where}.{name}"
    elif isinstance(sample, list) and isinstance(real, list) and sample and real:
        yield from covers(sample[0], real[0], f"{where}[]")


def test_the_api_has_the_forms_of_the_samples():
    async def scenario(world, client):
        world.raise_alert(1)
        agents = {"risk": {"state": "ready", "lag_total": 3, "dead_letters": 1, "late": 2}}
        status = {
            "worker": "m1cep/h/1", "host": "h", "pid": 1, "ready": True, "events_per_s": 10.0, "agents": agents,
            "started_ms": 1, "web": None, "watermark_lag_ms": {"t/0": 5}, "time_ms": 1_000,
            "alert_latency_ms": {"p50": 1.0, "p99": 2.0, "count": 1},
            "rules": [{"id": "wash-trade", "version": "v", "severity": "high", "mode": "active", "events": 10, "busy_us": 20}],
        }  # fmt: skip
        world.hear("m1cep.status.v1", status, key="m1cep/h/1")
        world.board.overview.tick(1_500)
        lacking = []
        for name in ("overview", "rules", "alerts", "alert"):
            path = f"/api/alerts/{1:032x}" if name == "alert" else f"/api/{name}"
            async with client.get(path) as answer:
                real = await answer.json()
            sample = orjson.loads((SAMPLES / f"{name}.json").read_bytes())
            if name == "overview":
                sample["alerts_by_rule"]["rules"] = {}
                sample["workers"][0]["states"] = {}
            elif name == "rules":
                sample["rules"][0]["params"] = {}
            else:
                for one in (sample["alerts"][0]["alert"], real["alerts"][0]["alert"]) if name == "alerts" else ():
                    one["key"], one["row"] = {}, {}
                if name == "alert":
                    sample["alert"]["key"], sample["alert"]["row"], sample["rule"]["params"] = {}, {}, {}
            lacking += [f"{name}{one}" for one in covers(sample, real)]
        return lacking

    assert run(scenario) == []


def test_a_client_that_was_away_gets_what_it_missed_and_then_what_comes():
    async def scenario(world, client):
        for n in range(4):
            world.raise_alert(n, partition=n % 2)
        async with client.get("/events", headers={"Last-Event-ID": "-1@0.0"}) as answer:
            first = await read_events(answer, 2)
        async with client.get("/events", headers={"Last-Event-ID": first[-1][1]}) as answer:
            missed = await read_events(answer, 2)
            world.raise_alert(4)
            return first, missed, await read_events(answer, 1)

    first, missed, new = run(scenario)
    assert [int(data["id"], 16) for _, _, data in (*first, *missed, *new)] == [0, 1, 2, 3, 4]
    assert {name for name, _, _ in (*first, *missed, *new)} == {"message"}


def test_a_client_that_was_away_for_too_long_is_told_to_begin_anew():
    async def scenario(world, client):
        world.raise_alert(1)
        answers = []
        for last in ("0@5.5", "nonsense"):
            async with client.get("/events", headers={"Last-Event-ID": last}) as answer:
                reset = await read_events(answer, 1)
                world.raise_alert(2 + len(answers))
                answers.append((reset[0][0], (await read_events(answer, 1))[0][2]["id"]))
        return answers

    assert run(scenario) == [("reset", f"{2:032x}"), ("reset", f"{3:032x}")]


def test_the_live_stream_begins_with_everything_and_tells_states():
    async def scenario(world, client):
        world.raise_alert(1)
        async with client.get("/live") as answer:
            names = {name for name, _, _ in await read_events(answer, 5)}
            path = f"/api/alerts/{1:032x}/state"
            async with client.post(path, json={"state": "acknowledged", "note": "n"}, headers=OURS) as said:
                record = await said.json()
            ((name, _, told),) = await read_events(answer, 1)
        async with client.get("/api/alerts", params={"state": "acknowledged"}) as answer:
            listed = (await answer.json())["alerts"]
        return names, record, (name, told), listed

    names, record, told, listed = run(scenario)
    assert names == {"overview", "rules", "grids", "custody", "reserves"}
    assert told == ("states", record)
    assert (record["by"], record["state"], record["note"]) == ("local", "acknowledged", "n")
    assert [(one["state"], one["by"]) for one in listed] == [("acknowledged", "local")]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b'{"state": "closed"}', {}, 403),
        (b'{"state": "gone"}', OURS, 400),
        (b"[]", OURS, 400),
        (b"{", OURS, 400),
        (b'{"state": ["closed"]}', OURS, 400),
        (b'{"state": "closed", "note": 5}', OURS, 400),
        (orjson.dumps({"state": "closed", "note": "x" * 1_001}), OURS, 400),
        (b'{"state": "open"}', OURS, 409),
        (b" " * 100_000, OURS, 413),
    ],
)
def test_states_are_only_set_as_they_should_be(body, headers, status):
    async def scenario(world, client):
        world.raise_alert(1)
        async with client.post(f"/api/alerts/{1:032x}/state", data=body, headers=headers) as answer:
            return answer.status, (await answer.json())["error"], world.written

    found, error, written = run(scenario)
    assert (found, written) == (status, [])
    assert error
    assert "\n" not in error


@pytest.mark.parametrize(
    "path",
    [
        "/api/alerts/none",
        "/api/nothing",
        "/nothing",
        "/api/alerts?limit=0",
        "/api/alerts?before=x",
        pytest.param("/api/alerts?limit=" + "9" * 5_000, id="long-limit"),
        pytest.param("/api/alerts?before=" + "9" * 5_000, id="long-before"),
    ],
)
def test_what_is_not_there_is_said_in_json(path):
    async def scenario(_, client):
        async with client.get(path) as answer:
            return answer.status, await answer.json()

    status, body = run(scenario)
    assert status in {400, 404}
    assert set(body) == {"error", "remedy"}


def test_a_token_opens_everything_and_a_wrong_one_nothing():
    token = "correct-horse-battery"

    async def scenario(world, client):
        world.raise_alert(1)
        found = {}
        for given in ("", "wrong-horse-battery", token):
            headers = {"Authorization": f"Bearer {given}"} if given else {}
            for path in ("/api/overview", "/events", "/live", "/api/alerts"):
                async with client.get(path, headers=headers) as answer:
                    found[given, path] = answer.status
            async with client.post("/session", headers=headers) as answer:
                found[given, "/session"] = answer.status
                cookie = answer.headers.get("Set-Cookie", "")
        name, _, value = cookie.partition(";")[0].partition("=")
        async with client.get("/events", headers={"Cookie": f"{name}={value}", "Last-Event-ID": "-1@0.0"}) as answer:
            by_cookie = await read_events(answer, 1)
        post = client.post(
            f"/api/alerts/{1:032x}/state",
            json={"state": "closed"},
            headers=OURS | {"Authorization": f"Bearer {token}"},
        )
        async with post as answer:
            by = (await answer.json())["by"]
        return found, cookie, by_cookie, by

    found, cookie, by_cookie, by = run(scenario, ann=token)
    assert {status for (given, _), status in found.items() if given == token} == {200}
    assert {status for (given, _), status in found.items() if given != token} == {401}
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert token not in cookie
    assert len(by_cookie) == 1
    assert by == "ann"


def test_a_browser_that_vanishes_is_forgotten():
    async def scenario(world, client):
        async with client.get("/events"), client.get("/live"):
            here = len(world.board.hub)
        for n in range(2_000):  # noticed when something is written
            world.raise_alert(n)
            world.board.hub.document("overview", b"{}")
            await asyncio.sleep(0.01)
            if not len(world.board.hub):
                break
        return here, len(world.board.hub)

    assert run(scenario) == (2, 0)


@pytest.mark.parametrize(
    ("timeout_s", "most_bytes"),
    [(0.3, 1 << 40), (1e6, 200_000)],
    ids=["takes nothing for some time", "is too far behind"],
)
def test_a_browser_that_does_not_read_is_let_go_and_others_go_on(monkeypatch, timeout_s, most_bytes):
    monkeypatch.setattr(stream, "WRITE_TIMEOUT_S", timeout_s)
    monkeypatch.setattr(hub, "MOST_FRAME_BYTES", most_bytes)

    async def scenario(world, client):
        stuck = socket.socket()
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.connect(("127.0.0.1", client._base_url.port))
        stuck.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with client.get("/events") as answer:
            async with asyncio.timeout(60):
                while len(world.board.hub) < 2:  # noqa: ASYNC110 - the hub tells nobody who joins
                    await asyncio.sleep(0.01)
            got = 0
            for n in range(600):
                world.raise_alert(n, note="y" * 20_000)
                got += len(await read_events(answer, 1))
                if len(world.board.hub) == 1:
                    break
            left = len(world.board.hub)
        stuck.close()
        return got, n + 1, left

    got, sent, left = run(scenario)
    assert got == sent
    assert left == 1


def test_nothing_is_streamed_before_everything_was_read():
    async def scenario(world, client):
        world.board.ready = False
        async with client.get("/events") as answer:
            return answer.status

    assert run(scenario) == 503
