"""The guard: runs one server and ends it when the process that asked for it is gone, whatever way it went.

Started as a script by ``process.Process`` (standard library only, ``python -I -S``: it starts in some 15 ms), with

- stdin: the reading end of a pipe whose other end only the owner holds. Its end is the owner's end, SIGKILL included,
  and unlike PR_SET_PDEATHSIG it does not care which of the owner's threads started us.
- stdout: a pipe; one line is written: the server's pid, or ``!`` and why it could not be started.
- stderr: the log file, which the server gets as its stdout and stderr.

Arguments: the owner's pid, the signal that asks the server to end, seconds to wait before SIGKILL, the user that the server
runs as (``uid:gid``, or ``-`` for our own), the command.
The exit status is the server's, 128 + n when it ended by signal n.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time

PR_SET_PDEATHSIG = 1
OWNER_CHECK_S = (
    0.5  # a child that the owner forked may hold the pipe open after the owner's end: look at the parent too
)


def main(argv: list[str]) -> int:
    """Run the server until it ends, or until the owner or a signal ends it."""
    owner, stop_signal, grace_s, user, command = int(argv[0]), int(argv[1]), float(argv[2]), argv[3], argv[4:]
    wake, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    asked_to_end: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: asked_to_end.append(number))
    signal.signal(signal.SIGCHLD, lambda *_: None)

    server = start(command, user)
    if server is None:
        return 127
    while server.poll() is None:
        readable, _, _ = select.select([sys.stdin.fileno(), wake], [], [], OWNER_CHECK_S)
        if wake in readable:
            os.read(wake, 512)
        if asked_to_end or sys.stdin.fileno() in readable or os.getppid() != owner:
            end(server, stop_signal, grace_s)
    # What the server itself left behind in its group.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(server.pid, signal.SIGKILL)
    code = server.returncode
    return code if code >= 0 else 128 - code


def start(command: list[str], user: str) -> subprocess.Popen[bytes] | None:
    """Start the server in a session of its own and report its pid; None when that fails."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    uid, gid = (None, None) if user == "-" else map(int, user.split(":"))

    def die_with_the_guard() -> None:
        # Safe here and only here: this process has one thread, and it lives as long as the process. It is called after
        # the change of user, which would undo it.
        if libc is not None:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    try:
        server = subprocess.Popen(  # noqa: S603 - the command is the owner's
            command,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            start_new_session=True,
            user=uid,
            group=gid,
            extra_groups=None if uid is None else [],
            preexec_fn=die_with_the_guard,  # noqa: PLW1509 - see above
        )
    except OSError as error:
        report(f"!{error.strerror}")
        return None
    report(str(server.pid))
    return server


def report(line: str) -> None:
    """Tell the owner, and let go of the pipe."""
    # An owner that is gone already is found in the loop.
    with contextlib.suppress(BrokenPipeError):
        os.write(sys.stdout.fileno(), line.encode() + b"\n")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def end(server: subprocess.Popen[bytes], stop_signal: int, grace_s: float) -> None:
    """Ask the server to end; SIGKILL its whole group when it does not."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(server.pid, stop_signal)
    deadline = time.monotonic() + grace_s
    while server.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    if server.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
