"""Starts workers fast: one process imports M1CEP once, and forks a process for each worker.

Each is a real process with a pid of its own, running the ``m1cep`` command with its arguments; it is spared the second of
imports, which a suite that kills dozens of them could not afford.

    test ── {"start": {...}} ──▶ this process ── fork ──▶ sabotage applied ──▶ m1cep worker ...
         ◀── {"pid": 1234} ────

What is to go wrong in the process itself (``sabotage.py``) is named in the request: the product has no hooks for it. When
the test goes, stdin ends, this process ends, and the kernel kills the workers.
"""

import ctypes
import importlib
import json
import os
import random
import signal
import subprocess
import sys
import traceback
from pathlib import Path

_PR_SET_PDEATHSIG = 1
#: How a worker that raised what ``m1cep`` does not catch ends.
CRASHED = 70


class Nursery:
    """The test's side: starts workers and says how they ended."""

    def __init__(self, *modules):
        """``modules`` are imported once, beside what every worker needs."""
        self._process = subprocess.Popen(
            [sys.executable, __file__, *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={n: v for n, v in os.environ.items() if not n.startswith("M1CEP_")},
        )

    def start(self, arguments, env, stderr, sabotage=()):
        """Start ``m1cep ARGUMENTS`` and return its pid."""
        request = {"arguments": [str(a) for a in arguments], "env": env, "stderr": str(stderr)}
        return self._ask({"start": request | {"sabotage": list(sabotage)}})["pid"]

    def ended(self, pid):
        """The exit status, -n for signal n; None while it runs."""
        return self._ask({"ended": pid})["status"]

    def close(self):
        self._process.stdin.close()
        self._process.wait(20)

    def _ask(self, request):
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def _serve():
    _import_everything()
    for module in sys.argv[1:]:
        importlib.import_module(module)
    status = {}
    for line in sys.stdin:
        request = json.loads(line)
        if "start" in request:
            answer = {"pid": _fork(request["start"])}
        else:
            pid = request["ended"]
            if pid not in status and (found := os.waitpid(pid, os.WNOHANG))[0]:
                status[pid] = os.waitstatus_to_exitcode(found[1])
            answer = {"status": status.get(pid)}
        print(json.dumps(answer), flush=True)


def _import_everything():
    import faust.livecheck
    import faust.transport.drivers.aiokafka  # noqa: F401

    import streams.agents.risk
    import streams.cli.main
    import streams.lookups
    import streams.worker  # noqa: F401


def _fork(request):
    pid = os.fork()
    if pid:
        return pid
    status = CRASHED
    try:
        _become_worker(request)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - nothing may go up into the parent's loop
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _become_worker(request):
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    descriptor = os.open(request["stderr"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 2)
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(0, 1)
    os.environ.update(request["env"])
    random.seed()
    sys.path.insert(0, str(Path(__file__).parent))
    import sabotage

    for text in request["sabotage"]:
        sabotage.apply(text)
    sys.argv = ["m1cep", *request["arguments"]]
    from streams.cli import main

    main()


if __name__ == "__main__":
    _serve()
