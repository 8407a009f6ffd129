"""An event loop of a process that is only played: its clock is the world's, and somebody else says when it takes a step."""

import asyncio
import heapq
from inspect import isgenerator


class Loop(asyncio.BaseEventLoop):
    """The event loop of one process.

    Args:
        world: has ``now_s`` and ``delay()``.
    """

    def __init__(self, world):
        super().__init__()
        self._world = world
        self.set_exception_handler(lambda *_: None)  # what a killed process leaves behind is not told
        self.set_task_factory(self._task)

    @staticmethod
    def _task(loop, coroutine, **options):
        task = asyncio.Task(coroutine, loop=loop, **options)
        task._log_destroy_pending = False
        return task

    def __del__(self):
        """Killed processes do not close their loops."""

    def time(self):
        return self._world.now_s

    def next_s(self):
        """When there is something to do; None: never."""
        if self._ready:
            return self._world.now_s
        while self._scheduled and self._scheduled[0]._cancelled:
            heapq.heappop(self._scheduled)
        return self._scheduled[0]._when if self._scheduled else None

    def step(self):
        """Run what is due at this moment, and what follows from it at once."""
        asyncio._set_running_loop(self)
        try:
            while True:
                while self._scheduled and self._scheduled[0]._when <= self._world.now_s:
                    handle = heapq.heappop(self._scheduled)
                    handle._scheduled = False
                    self._ready.append(handle)
                if not self._ready:
                    return
                handle = self._ready.popleft()
                if not handle._cancelled:
                    handle._run()
        finally:
            asyncio._set_running_loop(None)

    def run_in_executor(self, _executor, function, *arguments):
        """A thread: what it does takes time, before and after its effect; a generator's parts are effects of their own."""
        future, delay = self.create_future(), self._world.delay
        parts = None

        def work():
            nonlocal parts
            try:
                found = function(*arguments) if parts is None else next(parts, None)
                if parts is None and isgenerator(found):
                    parts = found
                    next(parts)
                    self.call_later(delay(), work)
                    return
            except Exception as error:  # noqa: BLE001 - it is passed on
                self.call_later(delay(), _finish, future.set_exception, error)
            else:
                self.call_later(delay(), _finish, future.set_result, None if parts else found)

        def _finish(act, value):
            if not future.done():
                act(value)

        self.call_later(delay(), work)
        return future

    def call_soon_threadsafe(self, callback, *arguments, context=None):
        return self.call_soon(callback, *arguments, context=context)
