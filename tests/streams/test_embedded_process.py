"""Server processes in general: what is said when one cannot start, ends early, or is never ready."""

import os
import signal
import sys

import pytest

from streams.embedded import Process
from streams.errors import ServerError


@pytest.fixture
def server(tmp_path):
    with Process("the test server", tmp_path / "server.log", grace_s=0.5) as process:
        yield process


def python(code):
    return [sys.executable, "-c", code]


def test_a_program_that_is_not_there(server, tmp_path):
    with pytest.raises(ServerError, match=r"the test server cannot be started: .*nothing-here: No such file"):
        server.start([tmp_path / "nothing-here"])
    assert not server.alive()


def test_an_early_end_is_reported_with_the_last_lines(server):
    server.start(python("print('one'); print('\\x1b[31mbad option\\x1b[0m'); raise SystemExit(7)"))
    with pytest.raises(ServerError, match=r"ended with exit code 7: one / bad option; its log is .*server.log"):
        server.wait_ready(lambda: False, 20)
    assert server.returncode == 7


def test_a_server_that_is_never_ready_is_stopped(server, alive, eventually):
    server.start(python("import time; print('thinking', flush=True); time.sleep(60)"))
    eventually(lambda: "thinking" in server.log_path.read_text())
    with pytest.raises(ServerError, match=r"was not ready after 0.5 s: thinking"):
        server.wait_ready(lambda: False, 0.5)
    assert not alive(server.pid)


def test_the_log_of_a_silent_server_says_so(server):
    server.start(python("raise SystemExit(3)"))
    server.wait(20)
    with pytest.raises(ServerError, match="ended with exit code 3: it said nothing"):
        server.check()


def test_sigterm_that_is_ignored_is_followed_by_sigkill_for_the_whole_group(server, tmp_path, alive, eventually):
    child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    code = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        f"c = subprocess.Popen([sys.executable, '-c', {child!r}]); "
        "open('child', 'w').write(f'{c.pid}\\n'); time.sleep(60)"
    )
    server.start(python(code))
    mark = tmp_path / "child"
    eventually(lambda: mark.exists() and mark.read_text().endswith("\n"))
    server.stop()
    assert server.returncode == -signal.SIGKILL
    eventually(lambda: not alive(int(mark.read_text())))


def test_a_server_that_hangs_is_killed(server, alive):
    server.start(python("import time; time.sleep(60)"))
    os.kill(server.pid, signal.SIGSTOP)
    server.stop()
    assert not alive(server.pid)


def test_the_stop_signal_can_be_chosen(tmp_path):
    code = (
        "import signal, time; signal.signal(signal.SIGINT, lambda *_: exit(5)); print('up', flush=True); time.sleep(60)"
    )
    with Process("it", tmp_path / "log", stop_signal=signal.SIGINT) as server:
        server.start(python(code))
        server.wait_ready(lambda: "up" in server.log_path.read_text(), 20)
        server.stop()
        assert server.returncode == 5


def test_our_environment_does_not_reach_the_server(server, monkeypatch):
    monkeypatch.setenv("SCHEMA_REGISTRY", "file:///tmp")
    server.start(python("import os; print(sorted(set(os.environ) - {'PATH', 'LC_CTYPE', '__CF_USER_TEXT_ENCODING'}))"))
    server.wait(20)
    assert server.last_words() == "[]"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start servers as another user")
def test_a_server_that_runs_as_another_user_has_nothing_of_ours(tmp_path, alive, eventually):
    ours = os.getgroups()
    os.setgroups([0, 4])
    try:
        with Process("it", tmp_path / "log", user=(65534, 65533)) as server:
            server.start(["/bin/sh", "-c", "id -u; id -g; id -G; exec sleep 60"])
            eventually(lambda: len(server.log_path.read_text().splitlines()) == 3)
            assert server.log_path.read_text().split() == ["65534", "65533", "65533"]
        assert not alive(server.pid)
    finally:
        os.setgroups(ours)


def test_a_second_start_while_it_runs_is_refused(server):
    server.start(python("import time; time.sleep(60)"))
    with pytest.raises(ServerError, match="is running already"):
        server.start(python("pass"))
    assert server.alive()
