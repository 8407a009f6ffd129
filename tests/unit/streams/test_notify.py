"""Alerts that leave, against a real HTTP server and a clock that the test moves: nothing lost, nobody blocked, nothing shown."""

import asyncio
import base64
import email.utils
import json
import logging

import pytest
from aiohttp import web
from notifyworld import KEY, SECRET, START_MS, House, Receiver, alert, targets_file, verified

from m1cep.alert_states import AlertState, State
from m1cep.errors import EngineError
from streams import codec
from streams.errors import UsageError
from streams.notify.bodies import signature
from streams.notify.letters import read_letter
from streams.notify.targets import load_targets

HOUR_S = 3_600


def world(folder, scenario, extra="", state=None, now_ms=START_MS, **hook):
    """Runs a scenario with a webhook ``hook`` and a second one ``other``, each a server of its own."""

    async def run():
        one, two = Receiver(), Receiver()
        async with one.running(), two.running():
            keys = "\n".join(f"{name} = {json.dumps(value)}" for name, value in hook.items())
            text = f"""
                [targets.hook]
                kind = "webhook"
                url = "http://127.0.0.1:{one.port}/in?token=abc"
                secret_file = "hook.secret"
                {keys}
                [targets.other]
                kind = "{"alertmanager" if extra == "alertmanager" else "webhook"}"
                url = "http://127.0.0.1:{two.port}"
            """
            async with House(targets_file(folder, text), state, now_ms) as house:
                await scenario(house, one, two)
                return house

    return asyncio.run(run())


def test_a_webhook_that_answers_500_for_an_hour_loses_nothing_and_blocks_nobody(tmp_path):
    async def scenario(house, hook, other):
        ends_ms = house.now_ms + HOUR_S * 1_000
        hook.answer = lambda _request: 500 if house.now_ms < ends_ms else 200
        for second in range(0, HOUR_S + 400, 5):
            if second % 600 == 0:
                house.hear(alert(f"a{second}"))
            await house.step(5_000)
            if second % 600 == 0:
                assert other.ids()[-1] == f"a{second}", "at once, while the other one fails"
        tried = [one for one in hook.requests if one.id == "a0"]
        assert 10 < len(hook.requests) < 60, "less and less often"
        stamps = [int(one.headers["webhook-timestamp"]) for one in tried]
        assert stamps == sorted(set(stamps))
        assert len({one.body for one in tried}) == 1
        wanted = [f"a{n}" for n in range(0, HOUR_S + 400, 600)]
        taken = [verified(one) for one in hook.requests if int(one.headers["webhook-timestamp"]) * 1_000 >= ends_ms]
        assert sorted(taken) == sorted(wanted)
        assert other.ids() == wanted
        assert house.machine.waiting == 0
        assert house.letters == []
        assert house.stats.deliveries["hook", "delivered"] == len(wanted)

    world(tmp_path, scenario)


def test_what_is_not_taken_for_too_long_is_a_dead_letter_that_can_be_sent_again(tmp_path):
    async def scenario(house, hook, _other):
        hook.answer = lambda _request: 503
        house.hear(alert("a1"), time="2027-01-01T00:00:00Z")
        for _ in range(130):
            await house.step(1_000)
        ((target, name, reason),) = house.dead()
        assert (target, name) == ("hook", "a1")
        assert reason.startswith("target hook: given up after 120 s and ")
        assert "status 503: no: <b>\\x1b[31m" in reason
        assert house.machine.waiting == 0
        assert house.stats.dead_letters == 1
        target, again, cut = read_letter(house.letters[0].value)
        assert (target, again.alert, json.loads(again.value), cut) == ("hook", "a1", alert("a1"), False)
        assert again.time_ms == 1_798_761_600_000

    world(tmp_path, scenario, give_up_after_s=120)


@pytest.mark.parametrize("status", [400, 401, 404, 410, 422])
def test_what_is_refused_is_a_dead_letter_at_once(tmp_path, status):
    async def scenario(house, hook, other):
        hook.answer = lambda _request: status
        house.hear(alert("a1"))
        await house.step()
        assert [(t, a) for t, a, _ in house.dead()] == [("hook", "a1")]
        assert len(hook.requests) == len(other.requests) == 1

    world(tmp_path, scenario)


@pytest.mark.parametrize("status", [301, 307, 408, 429, 500, 503])
def test_what_may_be_taken_later_is_tried_again(tmp_path, status):
    async def scenario(house, hook, other):
        hook.answer = lambda _request: web.Response(
            status=status, headers={"location": f"http://127.0.0.1:{other.port}/"}
        )
        house.hear(alert("a1"))
        await house.step()
        assert house.letters == []
        assert len(other.requests) == 1, "redirects are not followed"
        hook.answer = lambda _request: 204
        await house.step(1_000)
        assert hook.ids() == ["a1", "a1"]
        assert house.machine.waiting == 0

    world(tmp_path, scenario)


@pytest.mark.parametrize("as_date", [False, True])
def test_the_server_says_when_to_come_again(tmp_path, as_date):
    async def scenario(house, hook, _other):
        date = email.utils.formatdate((house.now_ms + 90_000) / 1_000, usegmt=True)
        hook.answer = lambda _request: web.Response(status=429, headers={"retry-after": date if as_date else "90"})
        house.hear(alert("a1"))
        await house.step()
        house.hear(alert("a2"))
        await house.step(89_000)
        assert hook.ids() == ["a1"]
        hook.answer = lambda _request: 200
        await house.step(1_001)
        assert hook.ids() == ["a1", "a1", "a2"]

    world(tmp_path, scenario)


def test_that_others_were_taken_meanwhile_does_not_make_a_target_be_asked_before_it_wants(tmp_path):
    async def scenario(house, hook, _other):
        hook.answer = lambda request: (
            web.Response(status=429, headers={"retry-after": "90"}) if request.id == "a1" else 200
        )
        house.hear(alert("a1"), alert("a2"))
        await house.step()
        house.hear(alert("a3"))
        await house.step(89_000)
        assert hook.ids() == ["a1", "a2"]
        hook.answer = lambda _request: 200
        await house.step(1_001)
        assert hook.ids()[2:] == ["a1", "a3"]

    world(tmp_path, scenario)


def test_a_server_that_hangs_closes_or_is_slow_with_its_body_is_borne(tmp_path):
    async def hang(_request):
        await asyncio.sleep(60)

    def close(request):
        request.transport.close()
        return 200

    async def slow(request, status=200):
        response = web.StreamResponse(status=status)
        await response.prepare(request.http)
        await response.write(b"not yet")
        await asyncio.sleep(60)
        return response

    async def scenario(house, hook, _other):
        for answer in (hang, close, lambda request: slow(request, 500)):
            hook.answer = answer
            house.hear(alert("a1"))
            await house.step(300_000)
            assert house.machine.waiting == 1
            assert house.stats.deliveries["hook", "delivered"] == 0
        hook.answer = slow
        await asyncio.wait_for(house.step(300_000), 30)
        assert house.machine.waiting == 0, "it was taken; what else it says is nobody's business"
        assert len(hook.requests) == 4

    world(tmp_path, scenario, timeout_s=1.5)


def test_a_delivery_that_always_fails_holds_up_no_other(tmp_path):
    async def scenario(house, hook, _other):
        hook.answer = lambda request: 500 if request.id == "bad" else 200
        house.hear(alert("bad"), *(alert(f"a{n}") for n in range(20)))
        for _ in range(30):
            await house.step(1_000)
        assert {f"a{n}" for n in range(20)} <= set(hook.ids())
        assert house.machine.waiting == 1
        assert hook.ids().count("bad") < 10

    world(tmp_path, scenario)


def test_of_many_that_fail_together_the_target_is_not_punished_many_times(tmp_path):
    async def scenario(house, hook, _other):
        hook.answer = lambda _request: 500
        house.hear(*(alert(f"a{n}") for n in range(8)))
        await house.step()
        assert len(hook.requests) == 8
        hook.answer = lambda _request: 200
        await house.step(1_001)
        assert len(hook.requests) == 16

    world(tmp_path, scenario)


def test_when_too_many_wait_the_oldest_is_a_dead_letter(tmp_path):
    async def scenario(house, hook, other):
        hook.answer = lambda _request: 500
        for n in range(5):
            house.hear(alert(f"a{n}"))
            await house.step(1)
        assert [(t, a) for t, a, _ in house.dead()] == [("hook", "a0"), ("hook", "a1")]
        assert "the queue is full: 3 others wait" in house.dead()[0][2]
        assert other.ids() == [f"a{n}" for n in range(5)]

    world(tmp_path, scenario, queue=3)


def test_targets_get_what_they_want_and_repetitions_on_the_topic_once(tmp_path):
    async def scenario(house, hook, other):
        house.hear(
            alert("a1", "high", "wash-trade"), alert("a2", "medium", "wash-trade"), alert("a3", "critical", "dusting")
        )
        house.hear(alert("a1", "high", "wash-trade"))
        await house.step()
        assert hook.ids() == ["a1"]
        assert other.ids() == ["a1", "a2", "a3"]

    world(tmp_path, scenario, severity="high", rules=["wash-*", "spoofing"])


def test_the_body_has_the_alerts_own_bytes_and_odd_ids_cannot_be_headers(tmp_path):
    raw = b'{"id": "a.1\\r\\nx: y", "rule": "r", "severity": "low", "key": {}, "row": {"big": 123456789012345678901234567890.10}}'

    async def scenario(house, hook, _other):
        house.hear(raw, time="2027-01-01T00:00:00.5Z")
        await house.step()
        (request,) = hook.requests
        assert raw in request.body
        body = json.loads(request.body)
        assert (body["type"], body["timestamp"]) == ("m1cep.alert.v1", "2027-01-01T00:00:00.500Z")
        assert body["dedup_key"] == "a.1\r\nx: y"
        assert len(verified(request)) == 64
        assert request.headers["content-type"] == "application/json"

    world(tmp_path, scenario)


def test_the_signature_is_that_of_the_specifications_own_example_and_of_every_secret():
    old, new = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), KEY
    made = signature([new, old], "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')
    assert made.split(" ")[1] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert len(set(made.split(" "))) == 2


# -- Alertmanager


def closing(name, state=State.CLOSED, time_ms=START_MS + 5_000):
    return AlertState(name, "spoofing", {}, state, "bob", time_ms).to_json()


def check_postable(one):
    """What the API's definition of postableAlert asks for."""
    assert one.keys() <= {"labels", "annotations", "startsAt", "endsAt", "generatorURL"}
    assert one["labels"]
    for name in ("labels", "annotations"):
        assert all(isinstance(k, str) and isinstance(v, str) for k, v in one[name].items())
    for name in ("startsAt", "endsAt"):
        assert name not in one or one[name].endswith("Z")


def test_alertmanager_gets_alerts_together_and_resolved_when_they_are_closed(tmp_path):
    async def scenario(house, _hook, other):
        house.hear(*(alert(f"a{n}") for n in range(70)), time="2027-01-15T08:00:00Z")
        await house.step()
        assert [request.path for request in other.requests] == ["/api/v2/alerts"] * 2
        posted = other.posted()
        assert len(posted) == 70
        for one in posted:
            check_postable(one)
        named = {"alertname": "spoofing", "rule": "spoofing", "severity": "high", "account": "ann", "symbol": "BTC-USD"}
        assert posted[3]["labels"] == named | {"alert_id": "a3"}
        assert (posted[3]["startsAt"], posted[3]["endsAt"]) == ("2027-01-15T08:00:00.000Z", "2027-01-16T08:00:00.000Z")
        assert posted[3]["annotations"]["summary"] == "spoofing: account ann"
        house.hear(closing("a3"), closing("unknown"), closing("a4", State.ACKNOWLEDGED), topic=codec.ALERT_STATES)
        await house.step()
        (resolved,) = other.posted()[70:]
        check_postable(resolved)
        assert resolved["labels"] == posted[3]["labels"]
        assert resolved["endsAt"] == "2027-01-15T08:00:05.000Z"
        house.hear(closing("a3", State.OPEN, START_MS + 9_000), topic=codec.ALERT_STATES)
        await house.step()
        assert other.posted()[71]["labels"] == posted[3]["labels"]
        assert other.posted()[71]["endsAt"] > "2027-01-16"

    world(tmp_path, scenario, "alertmanager", now_ms=START_MS)


def test_an_alert_is_never_resolved_before_it_was_told(tmp_path):
    async def scenario(house, _hook, other):
        async def closed_meanwhile(_request):
            other.answer = lambda _request: 200
            house.hear(closing("a1"), topic=codec.ALERT_STATES)
            assert not await house.couriers["other"].deliver()
            return 500

        other.answer = closed_meanwhile
        house.hear(alert("a1"))
        for _ in range(4):
            await house.step(1_000)
        assert ["startsAt" in one for one in other.posted()] == [True, True, False]

    world(tmp_path, scenario, "alertmanager")


@pytest.mark.parametrize("crashed", [False, True])
def test_an_alert_that_is_reopened_while_its_end_is_on_the_way_is_not_resolved_afterwards(tmp_path, crashed):
    kept = []

    async def scenario(house, _hook, other):
        async def reopened_meanwhile(_request):
            other.answer = lambda _request: 200
            house.hear(closing("a1", State.OPEN, START_MS + 9_000), topic=codec.ALERT_STATES)
            kept.append(house.machine.snapshot())
            return 500

        house.hear(alert("a1"))
        await house.step()
        other.answer = reopened_meanwhile
        house.hear(closing("a1"), topic=codec.ALERT_STATES)
        for _ in range(1 if crashed else 4):
            await house.step(1_000)
        if not crashed:
            assert ["startsAt" in one for one in other.posted()] == [True, False, True]

    async def afterwards(house, _hook, other):
        for _ in range(4):
            await house.step(1_000)
        assert ["startsAt" in one for one in other.posted()] == [True]

    world(tmp_path, scenario, "alertmanager")
    if crashed:
        world(tmp_path, afterwards, "alertmanager", state=kept[0])


def test_what_was_closed_before_it_could_be_told_is_not_told_as_open(tmp_path):
    async def scenario(house, _hook, other):
        other.answer = lambda _request: 500
        house.hear(alert("a1"))
        await house.step()
        house.hear(closing("a1"), topic=codec.ALERT_STATES)
        other.answer = lambda _request: 200
        for _ in range(4):
            await house.step(1_000)
        assert ["startsAt" in one for one in other.posted()] == [True, False]

    world(tmp_path, scenario, "alertmanager")


def test_one_alert_that_alertmanager_refuses_takes_no_other_with_it(tmp_path):
    async def scenario(house, _hook, other):
        other.answer = lambda request: 400 if b"a3" in request.body else 200
        house.hear(*(alert(f"a{n}") for n in range(6)))
        await house.step()
        assert [(t, a) for t, a, _ in house.dead()] == [("other", "a3")]
        taken = [json.loads(one.body) for one in other.requests if b"a3" not in one.body]
        assert sorted(one["labels"]["alert_id"] for posted in taken for one in posted) == ["a0", "a1", "a2", "a4", "a5"]

    world(tmp_path, scenario, "alertmanager")


def test_an_alert_of_any_shape_is_posted_or_buried_and_the_next_one_arrives(tmp_path):
    deep = b'{"id":"deep","rule":"r","severity":"low","key":{},"row":{"x":' + b"[" * 400 + b"]" * 400 + b"}}"
    odd = {"id": "odd", "rule": {"a": [1]}, "severity": "low", "key": 3, "row": None}

    async def scenario(house, _hook, other):
        house.hear(
            b"{",
            b"[]",
            b'{"id":3}',
            None,
            odd,
            {"id": "x", "severity": []},
            deep,
            alert("a1"),
            time="9999-12-31T23:59:59Z",
        )
        house.hear(b"{", closing("a1", time_ms=2**53 - 1), topic=codec.ALERT_STATES)
        await house.step()
        await house.step(1_000)
        assert [a for _, a, _ in house.dead()][:4] == [None] * 4, "what is no alert"
        assert other.posted()[-1]["labels"]["alert_id"] == "a1"
        assert house.machine.waiting == 0

    world(tmp_path, scenario, "alertmanager")


# -- what survives


def test_after_a_crash_what_waited_is_delivered_under_the_same_id_and_what_was_is_not_again(tmp_path):
    kept = {}

    async def first(house, hook, _other):
        hook.answer = lambda request: 500 if request.id == "a1" else 200
        house.hear(alert("a1"), alert("a2"), alert("a3"))
        for _ in range(9):
            await house.step(1_000)
        assert house.machine.changed()
        assert not house.machine.changed()
        kept["state"] = house.machine.snapshot()

    async def second(house, hook, other):
        house.hear(alert("a2"))  # read again: its position was not saved
        await house.step(300_000)
        assert hook.ids() == ["a1"]
        assert other.ids() == []

    world(tmp_path, first)
    world(tmp_path, second, state=kept["state"])


def test_what_was_given_up_and_not_said_yet_is_said_after_a_crash(tmp_path):
    kept = {}

    async def first(house, hook, _other):
        hook.answer = lambda _request: 404
        house.hear(alert("a1"))
        await house.couriers["hook"].deliver()
        kept["state"] = house.machine.snapshot()

    async def second(house, hook, _other):
        await house.step()
        assert [(t, a) for t, a, _ in house.dead()] == [("hook", "a1")]
        assert hook.ids() == []

    world(tmp_path, first)
    world(tmp_path, second, state=kept["state"])


def test_what_waits_for_a_target_that_is_gone_is_a_dead_letter(tmp_path):
    kept = {}

    async def first(house, hook, other):
        hook.answer = other.answer = lambda _request: 500
        house.hear(alert("a1"))
        await house.step()
        kept["state"] = house.machine.snapshot()

    world(tmp_path, first)
    path = targets_file(tmp_path, '[targets.hook]\nkind = "webhook"\nurl = "https://127.0.0.1/"\n')
    house = House(path, kept["state"])
    assert house.dead() == [("other", "a1", "target other: it is not among the targets any more")]
    with pytest.raises(EngineError):
        House(path, b"\x93")


# -- the file


def load(folder, text):
    return load_targets(targets_file(folder, text))


HOOK = '[targets.a]\nkind = "webhook"\nurl = "https://h/"\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected one table"),
        ("x = 1\n" + HOOK, "nothing else, got x"),
        ("[targets", "not TOML"),
        (HOOK.replace("targets.a", 'targets."a b"'), "letters, digits"),
        (HOOK.replace("webhook", "mail"), "targets.a.kind"),
        (HOOK + "secert_file = 'x'", "targets.a.secert_file"),
        (HOOK + "secret = 'x'", "secrets do not belong into this file; use secret_file"),
        (HOOK + "secret_file = 'no'", "No such file"),
        (HOOK + "secret_file = 'hook.secret'\nsecret_env = 'X'", "keep one"),
        (HOOK + "token_env = 'NOT_THERE'", "NOT_THERE is empty"),
        (HOOK + "secret_file = 'targets.toml'", "whsec_ and base64"),
        (HOOK + "timeout_s = 0", "targets.a.timeout_s"),
        (HOOK + "url_env = 'HOME'", "expected one of url"),
        (HOOK + "ca_file = 'hook.secret'", "ca_file"),
        (HOOK.replace("https://h/", "http://h/"), "unencrypted"),
        (HOOK.replace("https://h/", "ftp://h/"), "such as https"),
        (HOOK.replace("https://h/", "https://h:99999/"), "such as https"),
        (HOOK.replace("https://h/", "https://a:b@h/"), "user or password"),
        (HOOK.replace("webhook", "alertmanager") + "secret_file = 'hook.secret'", "no signatures"),
    ],
)
def test_a_mistake_in_the_file_is_one_line_that_names_its_place(tmp_path, text, says):
    with pytest.raises(UsageError, match=says) as caught:
        load(tmp_path, text)
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_plain_http_is_for_this_machine_or_where_it_is_allowed(tmp_path):
    assert load(tmp_path, HOOK.replace("https://h/", "http://localhost:9/"))
    assert load(tmp_path, HOOK.replace("https://h/", "http://h/") + "allow_plaintext = true")


def test_no_secret_is_in_a_repr_a_log_or_a_dead_letter(tmp_path, caplog, monkeypatch):
    from structlog.testing import capture_logs

    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("HOOK_TOKEN", "bearer-open-sesame")

    async def scenario(house, hook, _other):
        hook.answer = lambda request: web.Response(status=500, text=request.headers["authorization"] + SECRET)
        house.hear(alert("a1"))
        with capture_logs() as logs:
            await house.step()
            await house.step(30_000)
        said = [repr(house.machine.targets), repr(logs), caplog.text, *(one.value.decode() for one in house.letters)]
        assert hook.requests[0].headers["authorization"] == "Bearer bearer-open-sesame"
        assert house.letters
        assert "status 500: Bearer ***" in repr(logs)
        for text in said:
            assert "open-sesame" not in text
            assert SECRET not in text
            assert "token=abc" not in text

    world(tmp_path, scenario, token_env="HOOK_TOKEN", give_up_after_s=20)


def test_a_server_that_is_not_there_or_not_who_it_should_be_is_said_without_its_address(tmp_path):
    async def run():
        one = Receiver()
        async with one.running():
            text = f'[targets.hook]\nkind = "webhook"\nurl = "https://127.0.0.1:{one.port}/in?token=abc"\n'
            async with House(targets_file(tmp_path, text)) as house:
                house.hear(alert("a1"))
                await house.step()
                assert house.machine.waiting == 1
                (waiting,) = house.machine.queues["hook"].pending.values()
                assert "SSL" in waiting.reason
                assert "token" not in waiting.reason
            assert one.requests == []

    asyncio.run(run())
