"""The worker's web server: who gets in, what a browser is told, which port it takes."""

import asyncio
import socket
import time

import pytest
from aiohttp import ClientSession, web

from streams.config import load_settings
from streams.errors import UsageError
from streams.web import access, server
from streams.web.access import COOKIE, Access, WebOptions, web_options
from streams.web.server import ACCESS, USER, WebServer, json_response

TOKEN, OTHER = "an-open-sesame-of-ali", "forty-thieves-were-here"


async def whoami(request):
    return json_response({"user": request.get(USER)})


async def breaks(_request):
    raise ValueError("the secret of the cave")


async def session(request):
    response = json_response({})
    response.set_cookie(COOKIE, request.app[ACCESS].new_session("ali"))
    return response


ROUTES = [
    web.get("/api/me", whoami),
    web.get("/healthz", whoami),
    web.get("/breaks", breaks),
    web.get("/give", session),
]


def asking(options, *requests):
    """The answers to requests (path, headers) of one server: status, JSON, headers."""

    async def run():
        found = []
        async with WebServer(options, ROUTES) as site, ClientSession() as client:
            for path, headers in requests:
                async with client.get(site.url + path, headers=headers) as answer:
                    found.append((answer.status, await answer.json(), answer.headers))
        return found

    return asyncio.run(run())


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


class TestWhoGetsIn:
    @pytest.mark.parametrize("cookie", [b"\xff\xfe.1.ali", b"\xc3\xa9.1.ali", b"a.b", b"..", b"\xed\xa0\x80.1"])
    def test_a_cookie_of_any_bytes_is_a_wrong_one_and_no_failure(self, cookie):
        async def ask():
            async with WebServer(WebOptions(port=0, users={TOKEN: "ali"}), ROUTES) as site:
                reader, writer = await asyncio.open_connection("127.0.0.1", int(site.url.rpartition(":")[2]))
                lines = [b"GET /api/me HTTP/1.1", b"Host: 127.0.0.1", b"Cookie: " + COOKIE.encode() + b"=" + cookie]
                writer.write(b"\r\n".join([*lines, b"Connection: close", b"", b""]))
                answer = await reader.read()
                writer.close()
                return answer.split(b" ", 2)[1]

        assert asyncio.run(ask()) == b"401"

    def test_with_a_token_only_who_shows_one_and_by_its_name(self):
        options = WebOptions(port=0, users={TOKEN: "ali", OTHER: "kassim"})
        answers = asking(
            options,
            ("/api/me", {}),
            ("/api/me", bearer(TOKEN[:-1])),
            ("/api/me", bearer(TOKEN)),
            ("/api/me", bearer(OTHER)),
        )
        assert [status for status, *_ in answers] == [401, 401, 200, 200]
        assert [answers[2][1], answers[3][1]] == [{"user": "ali"}, {"user": "kassim"}]
        assert answers[0][2]["WWW-Authenticate"].startswith("Bearer")

    def test_probes_are_answered_without_a_token_but_know_nobody(self):
        ((status, body, _),) = asking(WebOptions(port=0, users={TOKEN: "ali"}), ("/healthz", {}))
        assert (status, body) == (200, {"user": None})

    def test_without_a_token_everybody_of_this_machine_and_no_page_of_the_web(self):
        hosts = (
            {},
            {"Host": "localhost:1"},
            {"Host": "[::1]:1"},
            {"Host": "evil.example:1"},
            {"Host": "127.0.0.1.evil"},
        )
        answers = asking(WebOptions(port=0), *(("/api/me", host) for host in hosts))
        assert [status for status, *_ in answers] == [200, 200, 200, 403, 403]

    def test_a_session_is_as_good_as_the_token_until_it_ends_and_cannot_be_made_up(self, monkeypatch):
        guard = Access({TOKEN: "ali"})

        class Request:
            headers = {}  # noqa: RUF012 - of a stand-in

            def __init__(self, cookie):
                self.cookies = {COOKIE: cookie}

        given = guard.new_session("ali")
        signature, _, rest = given.partition(".")
        assert guard.user(Request(given)) == "ali"
        for forged in ("", "x", rest, f"{signature}.9{rest}", f"{signature}.{rest}x", Access({}).new_session("ali")):
            assert guard.user(Request(forged)) is None, forged
        later = time.time() + access.SESSION_S + 1
        monkeypatch.setattr(access.time, "time", lambda: later)
        assert guard.user(Request(given)) is None


class TestAnswers:
    def test_what_fails_is_one_line_of_json_and_tells_no_secrets(self):
        missing, broken = asking(WebOptions(port=0), ("/nothing/<b>", {}), ("/breaks", {}))
        assert (missing[0], missing[1]["error"]) == (404, "GET /nothing/<b>: Not Found")
        assert (broken[0], broken[1]["error"]) == (500, "/breaks failed")
        assert "cave" not in str(broken[1])

    def test_browsers_are_told_to_run_nothing_of_others(self):
        for _, _, headers in asking(WebOptions(port=0), ("/api/me", {}), ("/nothing", {})):
            assert headers["Content-Security-Policy"].startswith("default-src 'self'")
            assert (headers["X-Content-Type-Options"], headers["Server"]) == ("nosniff", "m1cep")


class TestPort:
    def test_one_that_was_asked_for_and_is_taken_is_a_mistake(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(UsageError, match=rf"cannot listen on 127\.0\.0\.1:{port}: address already in use"):
                asking(WebOptions(port=port))

    def test_the_next_free_one_when_none_was_asked_for(self, monkeypatch):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            monkeypatch.setattr(server, "DEFAULT_PORT", port := taken.getsockname()[1])

            async def run():
                async with WebServer(WebOptions(), ROUTES) as site:
                    return int(site.url.rpartition(":")[2])

            assert port < asyncio.run(run()) < port + server.PORTS_TRIED


class TestSettings:
    @pytest.fixture(autouse=True)
    def clean(self, monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)

    def test_beyond_this_machine_only_with_a_token(self, monkeypatch):
        monkeypatch.setenv("M1CEP_WEB_HOST", "0.0.0.0")
        with pytest.raises(UsageError, match=r"beyond this machine, and there is no token; set M1CEP_WEB_TOKEN_FILE"):
            web_options(load_settings())
        monkeypatch.setenv("M1CEP_WEB_TOKEN", TOKEN)
        assert web_options(load_settings()).users == {TOKEN: "local"}

    def test_a_file_names_who_has_which_token_and_nothing_shows_them(self, monkeypatch, tmp_path):
        (tmp_path / "tokens").write_text(f"ali:{TOKEN}\n\n kassim:{OTHER} \n")
        monkeypatch.setenv("M1CEP_WEB_TOKEN_FILE", str(tmp_path / "tokens"))
        options = web_options(load_settings(web_port=1))
        assert dict(options.users) == {TOKEN: "ali", OTHER: "kassim"}
        assert options.asked
        assert TOKEN not in repr(options)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("ali:short", "line 1 is no token"),
            (f"ali:{TOKEN}\n:{OTHER}", "line 2 is no token"),
            ("\n", "is empty|holds no"),
        ],
    )
    def test_what_is_no_token_is_refused_without_being_repeated(self, monkeypatch, tmp_path, text, said):
        (tmp_path / "tokens").write_text(text)
        monkeypatch.setenv("M1CEP_WEB_TOKEN_FILE", str(tmp_path / "tokens"))
        with pytest.raises(UsageError, match=said) as caught:
            web_options(load_settings())
        assert OTHER not in str(caught.value)

    def test_two_places_for_a_token_are_one_too_many(self, monkeypatch, tmp_path):
        (tmp_path / "tokens").write_text(TOKEN)
        monkeypatch.setenv("M1CEP_WEB_TOKEN_FILE", str(tmp_path / "tokens"))
        monkeypatch.setenv("M1CEP_WEB_TOKEN", OTHER)
        with pytest.raises(UsageError, match="both set"):
            web_options(load_settings())

    def test_no_port_no_server(self):
        assert not web_options(load_settings()).asked
