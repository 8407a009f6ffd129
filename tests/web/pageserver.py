"""The server of samples in a thread, at the mercy of a test: alerts when it says so, gone and back, slow, with another token."""

import asyncio
import copy
import threading
import time

from aiohttp import web

from web.sample_server import Server

PATIENCE_S = 60


class PageServer:
    """Use as a context manager; ``url`` is where the page is."""

    def __init__(self, token=None):
        self.server = Server(token)
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._runner = None
        self._number = 5000
        self._pattern = next(one for one in self.server.alerts if one["alert"]["rule"] == "wash-trade")

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        self._thread.start()
        self.come()
        return self

    def __exit__(self, *_):
        self.go()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    def _do(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE_S)

    def come(self):
        """Listen: on the same port as before, if there was one."""

        async def listen():
            self._runner = web.AppRunner(self.server.app(), shutdown_timeout=0.1, access_log=None)
            await self._runner.setup()
            site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
            await site.start()
            self.port = self._runner.addresses[0][1]

        self._do(listen())

    def go(self):
        """Be gone, with every connection."""

        async def hang_up():
            await self._runner.cleanup()
            left = asyncio.all_tasks() - {asyncio.current_task()}
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

        if self._runner is not None:
            self._do(hang_up())
        self._runner = None

    def tell(self, name, document):
        """Send a document to every page, as the dashboard does when one changed."""

        def send():
            for queue in self.server.streams:
                queue.put_nowait((name, document))

        self._loop.call_soon_threadsafe(send)

    def alert(self, **changes):
        """A new alert, the newest; gives its id."""
        self._number += 1
        one = copy.deepcopy(self._pattern)
        one["alert"] |= {"id": f"{self._number:032x}"} | changes
        one |= {"received_ms": int(time.time() * 1000), "position": f"0@{self._number}.0.0.0"}
        self._loop.call_soon_threadsafe(self.server.alerts.insert, 0, one)
        return one["alert"]["id"]
