"""Starts ``m1cep`` fast: one process imports it once, and forks a process for each start.

Each is a real process with a pid, an environment and a folder of its own, that runs the ``m1cep`` command with its arguments to
its natural end; it is spared the seconds of imports, which are most of the work of a suite that starts a thousand of them.

    test ── {"arguments": ...}, stdout, stderr, a pipe ──▶ this process ── fork ──▶ sabotage applied ──▶ m1cep worker ...
         ◀── pid ────                                            │
         ◀── its exit status, through the pipe ──────────────────┘

What is to go wrong in the process itself (``faults/sabotage.py``) is named in the request: the product has no hooks for it.
When the test goes, this process ends, and the kernel kills those that it has made. Linux only: see ``AVAILABLE``.
"""

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import random
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

#: Elsewhere there are no descriptors of processes, and nothing that kills whom nobody waits for any more.
AVAILABLE = hasattr(os, "pidfd_open")
_PR_SET_PDEATHSIG = 1
_MOST_BYTES = 1 << 17  # of a request, most of which is the environment
#: Not imported beforehand: what only a child that trades at a venue needs, and what does something when it is imported.
_NEVER = (
    *("streams.gateways.ccxt", "streams.gateways.courier", "streams.bench"),
    *("streams.ledger.migrations", "streams.cli.__main__"),
)
#: Three seconds of chains, for those who hold keys: imported when the first of them is asked for.
_CUSTODY = ("streams.chains", "streams.custody", "streams.agents.custody", "streams.agents.signer", "streams.demo")
_OF_CUSTODY = {"custody", "signer"}


class Child:
    """A process that was forked, used as ``subprocess.Popen`` is with ``text=True``."""

    def __init__(self, pid, args, status, stdout, stderr):
        self.pid, self.args, self.returncode = pid, args, None
        self.stdout, self.stderr = stdout, stderr
        self._status = status
        self._said, self._readers = {}, None

    def poll(self):
        """The exit status, -n for signal n; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout=None):
        if self.returncode is None:
            with selectors.DefaultSelector() as look:
                look.register(self._status, selectors.EVENT_READ)
                if not look.select(timeout):
                    raise subprocess.TimeoutExpired(self.args, timeout)
            said = os.read(self._status, 16)
            os.close(self._status)
            self.returncode = int(said) if said else -signal.SIGKILL  # without a word: the nursery has gone, and it too
        return self.returncode

    def communicate(self, timeout=None):
        """What it says on stdout and stderr until its end."""
        deadline = None if timeout is None else time.monotonic() + timeout
        if self._readers is None:
            both = {"stdout": self.stdout, "stderr": self.stderr}
            self._readers = [
                threading.Thread(target=self._read, args=(name, file), daemon=True)
                for name, file in both.items()
                if file is not None and not file.closed
            ]
            for reader in self._readers:
                reader.start()
        for reader in self._readers:
            reader.join(None if deadline is None else max(0, deadline - time.monotonic()))
            if reader.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout)
        self.wait(None if deadline is None else max(0, deadline - time.monotonic()))
        return self._said.get("stdout"), self._said.get("stderr")

    def _read(self, name, file):
        with file:
            self._said[name] = file.read()

    def send_signal(self, number):
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)


def start_whole(arguments, *, env, cwd=".", stdout=subprocess.PIPE, stderr=subprocess.PIPE):
    """Start ``m1cep ARGUMENTS`` as a user does."""
    command = [sys.executable, "-c", "import sys; from streams.cli import main; sys.exit(main())", *map(str, arguments)]
    return subprocess.Popen(command, env=env, cwd=cwd, stdout=stdout, stderr=stderr, text=True)


class Nursery:
    """The test's side."""

    def __init__(self):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # What modules look at when they are imported is as in the tests' own environments.
        env = {n: v for n, v in os.environ.items() if not n.startswith("M1CEP_")} | {"NO_COLOR": "1", "COLUMNS": "200"}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=env,
            )
        self._asking, self._lock = ours, threading.Lock()

    def start(self, arguments, *, env, cwd=".", stdout=subprocess.PIPE, stderr=subprocess.PIPE, sabotage=()):
        """Start ``m1cep ARGUMENTS`` with this environment and no other; stdout and stderr are ``PIPE``, or files."""
        request = {"arguments": [str(a) for a in arguments], "env": {n: os.fspath(v) for n, v in env.items()}}
        request["cwd"] = str(cwd)
        status, theirs = os.pipe()
        files, given = [], []
        for asked in (stdout, stderr):
            if asked == subprocess.PIPE:
                reading, writing = os.pipe()
                files.append(os.fdopen(reading, encoding="utf-8"))
            else:
                files.append(None)
                writing = os.dup(asked if isinstance(asked, int) else asked.fileno())
            given.append(writing)
        with self._lock:
            data = json.dumps(request | {"sabotage": list(sabotage)}).encode()
            socket.send_fds(self._asking, [data], [*given, theirs])
            answer = self._asking.recv(64)
        for descriptor in (*given, theirs):
            os.close(descriptor)
        assert answer, "the nursery has ended: what it said last is above"
        return Child(int(answer), ["m1cep", *request["arguments"]], status, *files)

    def close(self):
        self._asking.close()
        self._process.wait(20)


# -- the process that forks


def _serve(asked):
    """Fork whom the test asks for; in a child, the request comes back when everything else of this process is closed."""
    _import_all_but((*_NEVER, *_CUSTODY))
    ready = False
    with selectors.DefaultSelector() as look:
        look.register(asked, selectors.EVENT_READ)
        while True:
            for key, _ in look.select():
                if key.fileobj is not asked:
                    _tell_end(look, key)
                    continue
                data, given, *_ = socket.recv_fds(asked, _MOST_BYTES, 3)
                if not data:
                    return None
                request = json.loads(data)
                if not ready and not _OF_CUSTODY.isdisjoint(",".join(request["arguments"]).split(",")):
                    _import_all_but(_NEVER)
                    ready = True
                *outputs, status = given
                pid = os.fork()
                if not pid:
                    for other in list(look.get_map().values()):
                        if other.fileobj is not asked:
                            os.close(other.fd)
                            os.close(other.data[1])
                    asked.close()
                    os.close(status)
                    return request, outputs
                for descriptor in outputs:
                    os.close(descriptor)
                look.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, status))
                asked.send(str(pid).encode())


def _tell_end(look, key):
    pid, status = key.data
    look.unregister(key.fileobj)
    os.close(key.fileobj)
    _, found = os.waitpid(pid, 0)
    with contextlib.suppress(BrokenPipeError):  # nobody wants to know any more
        os.write(status, str(os.waitstatus_to_exitcode(found)).encode())
    os.close(status)


def _import_all_but(later):
    """What any command imports when it is called; what is not installed is not imported."""
    import streams

    for found in pkgutil.walk_packages(streams.__path__, "streams."):
        if not found.name.startswith(later):
            with contextlib.suppress(ImportError):
                importlib.import_module(found.name)
    gc.collect()
    gc.freeze()  # a collection would copy all of it to each child


def _become(request, outputs):
    """Be as a process that was started with this environment, folder and output."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for number, descriptor in enumerate(outputs, 1):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    random.seed()
    if request["sabotage"]:
        sys.path.insert(0, str(Path(__file__).parent / "faults"))
        sabotage = importlib.import_module("sabotage")
        for text in request["sabotage"]:
            sabotage.apply(text)
    sys.argv = ["m1cep", *request["arguments"]]


def _run():
    """``m1cep`` to its end, which is that of any Python process but that nothing is taken apart: it is shared with the others."""
    from streams.cli import main

    status = 0
    try:
        main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - as the interpreter would
        sys.excepthook(*sys.exc_info())
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    found = _serve(socket.socket(fileno=int(sys.argv[1])))
    if found is not None:
        _become(*found)
        _run()
