"""The dashboard's routes: the page and its files, the API, the streams. Who may ask: ``streams.web.server``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from m1cep.alert_states import MAX_NOTE, State
from m1cep.errors import AlertStateError
from streams.alerts.desk import new_state
from streams.web.access import COOKIE, SESSION_S
from streams.web.dashboard import stream
from streams.web.dashboard.alerts import Filter, Position
from streams.web.dashboard.board import now_ms
from streams.web.server import ACCESS, USER, error_response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from m1cep import Stream
    from m1cep.alert_states import AlertState
    from streams.web.dashboard.alerts import Kept
    from streams.web.dashboard.board import Board
    from streams.web.dashboard.contributing import Contributing

    Write = Callable[[AlertState], Awaitable[None]]

_WEB = Path(__file__).parents[1]
_MOST_PAGE = 1_000
#: A header that a page of another origin cannot send without being asked about first.
_OURS = "X-M1CEP"


class Pages:
    """Answers.

    Args:
        board: what there is.
        contributing: seeks the events of alerts.
        write: writes the record of a state to its topic.
    """

    def __init__(self, board: Board, contributing: Contributing, write: Write) -> None:
        self._board, self._contributing, self._write = board, contributing, write

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """All of them."""
        yield from (
            web.get("/", self._page),
            web.post("/session", self._session),
            web.get("/events", self._events),
            web.get("/live", self._live),
            web.get("/api/alerts", self._alerts),
            web.get("/api/alerts/{id}", self._alert),
            web.post("/api/alerts/{id}/state", self._say),
            web.get("/api/{name}", self._document),
        )
        for name in ("static", "vendor"):
            if (_WEB / name).is_dir():
                yield web.static(f"/{name}", _WEB / name)

    async def _page(self, _: web.Request) -> web.StreamResponse:
        file = _WEB / "static" / "index.html"
        return (
            web.FileResponse(file) if file.is_file() else error_response(404, "this build has no page", "use the API")
        )

    async def _session(self, request: web.Request) -> web.Response:
        """A cookie for who has shown the token: event streams of browsers can send no header."""
        access = request.app[ACCESS]
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        user = access.of_token(token.strip() if scheme.lower() == "bearer" else "")
        if user is None:
            return error_response(401, "no token, or a wrong one", "send the header Authorization: Bearer TOKEN")
        answer = _json({"name": user, "token": access.asks})
        answer.set_cookie(
            COOKIE, access.new_session(user), max_age=SESSION_S, httponly=True, samesite="Strict", secure=request.secure
        )
        return answer

    async def _events(self, request: web.Request) -> web.StreamResponse:
        return self._busy() or await stream.events(request, self._board)

    async def _live(self, request: web.Request) -> web.StreamResponse:
        return self._busy() or await stream.live(request, self._board)

    def _busy(self) -> web.Response | None:
        if not self._board.ready:
            return error_response(503, "the dashboard is still reading what there is", "try again in a moment")
        if self._board.hub.full:
            return error_response(503, "too many browsers are watching", "close some, or start another dashboard")
        return None

    async def _document(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        data = self._board.documents.get(name)
        if data is None:
            names = ", ".join(("alerts", *self._board.documents.names))
            return error_response(404, f"there is no /api/{name[:100]}", f"there are: {names}")
        return _answer(data)

    async def _alerts(self, request: web.Request) -> web.Response:
        query = request.query
        before, limit = query.get("before"), query.get("limit", "100")
        position = Position.parse(before) if before else None
        if before and position is None:
            return error_response(400, "before is no position", "give the one that the page before named as next")
        if not (limit.isdecimal() and len(limit) <= 9 and 1 <= int(limit) <= _MOST_PAGE):  # Python refuses long numbers
            return error_response(400, f"limit: expected 1 to {_MOST_PAGE}, got {limit[:20]!r}")
        names = ("severity", "rule", "account", "state", "q")
        wanted = Filter(*(query.get(name, "")[:200] for name in names))
        board = self._board
        page, after, total = board.store.page(wanted, board.states.of, position, int(limit))
        rows = [self._row(one) for one in page]
        return _json({"alerts": rows, "next": after, "total": total, "position": str(board.store.position)})

    def _row(self, one: Kept) -> dict[str, Any]:
        known = self._board.states.last.get(one.id)
        return {
            "alert": orjson.Fragment(one.value),
            "state": self._board.states.of(one.id).value,
            "by": known.by if known else None,
            "received_ms": one.received_ms,
            "position": one.position,
        }

    async def _alert(self, request: web.Request) -> web.Response:
        one = self._board.store.get(request.match_info["id"])
        if one is None:
            return _no_alert()
        alert, known = one.plain(), self._board.states.last.get(one.id)
        found = await self._contributing.of(alert, self._streams(one.rule), one.received_ms)
        return _json({
            "alert": alert,
            "state": orjson.Fragment(known.to_json()) if known else None,
            "received_ms": one.received_ms,
            "rule": self._board.rules.about(one.rule),
            "lists": alert.get("lists", {}),
            "params": alert.get("params", {}),
            "events": found.events,
            "missing": found.missing,
            "records_read": found.records,
        })  # fmt: skip

    def _streams(self, rule: str) -> list[Stream]:
        """What the rule of an alert reads; of one that is not known: everything."""
        declared = self._board.options.streams
        names = self._board.rules.streams_of(rule)
        base = [stream for stream in declared.values() if not stream.is_view]
        return [stream for stream in base if stream.name in names] if names else base

    async def _say(self, request: web.Request) -> web.Response:
        """Set an alert's state."""
        if request.headers.get(_OURS) != "1":
            return error_response(403, f"the header {_OURS} is missing", f"send {_OURS}: 1")
        one = self._board.store.get(request.match_info["id"])
        if one is None:
            return _no_alert()
        try:
            body = orjson.loads(await request.read())
            state, note = State(body["state"]), body.get("note") or ""
            fits = isinstance(note, str) and len(note) <= MAX_NOTE
        except (ValueError, LookupError, TypeError, AttributeError):
            fits = False
        if not fits:
            expected = f'expected {{"state", "note"}} with a note of at most {MAX_NOTE} characters'
            return error_response(400, expected, f"states: {', '.join(State)}")
        known = self._board.states.last.get(one.id)
        try:
            record = new_state(known, one.plain(), one.id, state, request[USER], now_ms(), note=note)
        except AlertStateError as error:
            return error_response(409, str(error), "look again: somebody else may have been faster")
        await self._write(record)
        return _answer(record.to_json())


def _no_alert() -> web.Response:
    return error_response(
        404, "there is no such alert here", "the dashboard keeps the newest; m1cep replay finds others"
    )


def _json(body: object) -> web.Response:
    return _answer(orjson.dumps(body, default=str))


def _answer(data: bytes) -> web.Response:
    answer = web.Response(body=data, content_type="application/json")
    if len(data) > 1024:
        answer.enable_compression()
    return answer
