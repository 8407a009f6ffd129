"""A server of samples, for work on the page without a broker: ``python tests/web/sample_server.py [PORT] [--token T]``.

Same paths and forms as ``streams/web/dashboard``. Alerts are played again and again with new ids; states are kept in memory.
"""

import argparse
import asyncio
import copy
import itertools
import json
import time
from pathlib import Path

from aiohttp import web

HERE = Path(__file__).parent
SAMPLES = HERE / "samples"
STATIC = HERE.parents[1] / "streams" / "web" / "static"
CSP = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
SSE = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}


def sample(name):
    return json.loads((SAMPLES / f"{name}.json").read_text())


class Server:
    def __init__(self, token=None):
        self.token = token
        self.states = {s["alert"]: s for s in sample("states")["states"]}
        self.alerts = sample("alerts")["alerts"]
        self.overview = sample("overview")  # told each second
        self.number = itertools.count(1)
        self.streams = set()

    def app(self):
        app = web.Application(middlewares=[self.guard])
        app.add_routes([
            web.get("/", self.page), web.post("/session", self.session), web.get("/events", self.events),
            web.get("/live", self.live), web.get("/api/alerts", self.listed), web.get("/api/alerts/{id}", self.alert),
            web.post("/api/alerts/{id}/state", self.say), web.get("/api/{name}", self.document),
        ])  # fmt: skip
        if (STATIC / "vendor").is_dir():
            app.router.add_static("/vendor", STATIC / "vendor")
        if STATIC.is_dir():
            app.router.add_static("/static", STATIC)
        return app

    @web.middleware
    async def guard(self, request, handler):
        open_paths = request.path in {"/", "/session"} or request.path.startswith(("/static/", "/vendor/"))
        if self.token and not open_paths:
            given = request.headers.get("Authorization", "").removeprefix("Bearer ") or request.cookies.get(
                "m1cep_session"
            )
            if given != self.token:
                return fault(401, "the token is missing or wrong", "give the token of M1CEP_WEB_TOKEN")
        try:
            answer = await handler(request)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            answer = fault(error.status, error.reason, "see docs/dashboard.md")
        if not answer.prepared:
            answer.headers["Content-Security-Policy"] = CSP
            answer.headers["X-Content-Type-Options"] = "nosniff"
        return answer

    async def page(self, _):
        return web.FileResponse(STATIC / "index.html")

    async def session(self, request):
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.token and given != self.token:
            return fault(401, "the token is missing or wrong", "give the token of M1CEP_WEB_TOKEN")
        answer = web.json_response({"name": "local"})
        answer.set_cookie("m1cep_session", self.token or "none", httponly=True, samesite="Strict")
        return answer

    def row(self, one):
        state = self.states.get(one["alert"]["id"], {})
        return {**one, "state": state.get("state", "open"), "by": state.get("by")}

    async def listed(self, request):
        query = request.query
        rows = [self.row(one) for one in self.alerts]
        rows = [
            one for one in rows
            if query.get("severity", one["alert"]["severity"]).find(one["alert"]["severity"]) >= 0
            and query.get("rule", one["alert"]["rule"]) in {"", one["alert"]["rule"]}
            and query.get("account", "") in {"", one["alert"]["key"].get("account")}
            and query.get("state", "") in {"", one["state"]}
            and query.get("q", "").lower() in json.dumps([one["alert"]["rule"], one["alert"]["key"], one["alert"]["row"]]).lower()
        ]  # fmt: skip
        begin = next((n + 1 for n, one in enumerate(rows) if one["position"] == query.get("before")), 0)
        limit = int(query.get("limit", 100))
        page = rows[begin : begin + limit]
        after = page[-1]["position"] if page and begin + limit < len(rows) else None
        return web.json_response({"alerts": page, "next": after, "total": len(rows), "position": self.position()})

    def position(self):
        return self.alerts[0]["position"] if self.alerts else "-1@0.0.0.0"

    async def alert(self, request):
        found = next((one for one in self.alerts if one["alert"]["id"] == request.match_info["id"]), None)
        if found is None:
            return fault(404, "there is no such alert", "it may have been forgotten: the newest 20000 are kept")
        rule = next((r for r in sample("rules")["rules"] if r["id"] == found["alert"]["rule"]), None)
        one = sample("alert")
        return web.json_response({
            **one, "alert": found["alert"], "received_ms": found["received_ms"], "rule": rule or one["rule"],
            "state": self.states.get(found["alert"]["id"]),
        })  # fmt: skip

    async def say(self, request):
        if request.headers.get("X-M1CEP") != "1":
            return fault(403, "the header X-M1CEP is missing", "only the page itself may change states")
        body, name = await request.json(), request.match_info["id"]
        found = next((one for one in self.alerts if one["alert"]["id"] == name), None)
        if found is None or body.get("state") not in {"open", "acknowledged", "closed"}:
            return fault(404 if found is None else 400, "no such alert or state", "open, acknowledged or closed")
        self.states[name] = {
            "alert": name, "rule": found["alert"]["rule"], "key": found["alert"]["key"], "state": body["state"],
            "by": "local", "time_ms": int(time.time() * 1000), "note": body.get("note", ""),
        }  # fmt: skip
        for queue in self.streams:
            queue.put_nowait(("states", self.states[name]))
        return web.json_response(self.states[name])

    async def document(self, request):
        name = request.match_info["name"]
        if not (SAMPLES / f"{name}.json").exists():
            return fault(404, f"there is no /api/{name}", "see docs/dashboard.md")
        return web.json_response(self.overview if name == "overview" else sample(name))

    async def events(self, request):
        answer = web.StreamResponse(headers=SSE)
        await answer.prepare(request)
        last = request.headers.get("Last-Event-ID") or request.query.get("after")
        known = [one["position"] for one in self.alerts]
        if last in known:
            for one in reversed(self.alerts[: known.index(last)]):
                await self.send(answer, one)
        elif last and last != self.position():
            await answer.write(b"event: reset\ndata: {}\n\n")
        seen = self.alerts[0]["position"]
        while True:
            await asyncio.sleep(0.3)
            positions = [one["position"] for one in self.alerts]
            for one in reversed(self.alerts[: positions.index(seen)]):
                await self.send(answer, one)
            seen = self.alerts[0]["position"]

    async def send(self, answer, one):
        await answer.write(f"id: {one['position']}\ndata: {json.dumps(one['alert'])}\n\n".encode())

    async def play(self, _app):
        async def forever():
            for one in itertools.cycle(list(reversed(self.alerts))):
                await asyncio.sleep(1.5)
                n = next(self.number)
                alert = {**one["alert"], "id": f"{n:032x}"}
                made = {
                    **one,
                    "alert": alert,
                    "received_ms": int(time.time() * 1000),
                    "position": f"0@{1000 + n}.0.0.0",
                }
                self.alerts.insert(0, made)

        task = asyncio.create_task(forever())
        yield
        task.cancel()

    async def live(self, request):
        answer = web.StreamResponse(headers=SSE)
        await answer.prepare(request)
        queue = asyncio.Queue()
        self.streams.add(queue)
        try:
            for name in ("rules", "grids", "custody", "reserves"):
                await answer.write(f"event: {name}\ndata: {json.dumps(sample(name))}\n\n".encode())
            while True:
                now = int(time.time() * 1000)
                document = copy.deepcopy(self.overview)
                shift = now // 1000 - document["history"]["t_s"][-1]
                document["time_ms"] = now
                for part in (document["history"], document["alerts_by_rule"]):
                    part["t_s"] = [t + shift for t in part["t_s"]]
                await answer.write(f"event: overview\ndata: {json.dumps(document)}\n\n".encode())
                try:
                    name, document = await asyncio.wait_for(queue.get(), 1)
                    await answer.write(f"event: {name}\ndata: {json.dumps(document)}\n\n".encode())
                except TimeoutError:
                    continue
        finally:
            self.streams.discard(queue)


def fault(status, error, remedy):
    return web.json_response({"error": error, "remedy": remedy}, status=status)


def make_app(token=None):
    server = Server(token)
    app = server.app()
    app.cleanup_ctx.append(server.play)
    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int, nargs="?", default=8099)
    parser.add_argument("--token")
    given = parser.parse_args()
    web.run_app(make_app(given.token), host="127.0.0.1", port=given.port)
