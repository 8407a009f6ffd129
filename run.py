#!/usr/bin/env python3
"""Sets M1CEP up and runs it: ``python3 run.py demo``, ``python3 run.py test``.

Needs Python 3.11 or newer and a package index, nothing else. The first start makes ``.venv`` beside this file and
installs the locked dependencies: with uv (from PATH, else a copy of its own) and ``uv.lock``, or, where that does not
work, with pip and the hashes of ``requirements.txt``. Later starts find everything in place. Then

    python3 run.py test           runs the tests, those that use a broker also on Apache Kafka itself where Java 17 and Maven
                                  are there: all but those that take long and show more of what others show (tests/README.md)
    python3 run.py test --slow    runs those
    python3 run.py test ...       runs what pytest's arguments say
    python3 run.py check          runs ruff, mypy, import-linter, compares the lock files, and asks for known vulnerabilities
    python3 run.py ANYTHING ...   runs ``m1cep ANYTHING ...``: demo, worker, replay, ...; --help lists them

Exit codes of the set-up: 1 it failed, 4 no package index. pip's configuration and the UV_* variables are honoured.
"""

# The syntax is that of Python 3.8, so that an old one can read this file and say what is missing.
from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / "bin"
STAMP = VENV / "m1cep-setup"  # says what the environment was made from
OWN = ROOT / ".m1cep"  # ours, not in git: the copy of uv, the lock, the set-up's log
OWN_UV = OWN / "uv"
LOG = OWN / "setup.log"
REQUIREMENTS = ROOT / "requirements.txt"
# Flink is 330 MB and for one test: see docs/flink.md.
EXTRAS = ("--all-extras", "--no-extra", "flink")
# pip takes ccxt's word that it needs other versions than aiohttp has here; without it the tests of real venues are skipped.
EXPORT = f"export --quiet --locked {' '.join(EXTRAS)} --no-extra ccxt --format requirements-txt --no-emit-project --no-header"

UV_VERSION = "0.13.9"
UV_SHA256 = {  # of its wheels, by system and machine; on others pip does the work
    ("Linux", "x86_64"): "d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19",
    ("Linux", "aarch64"): "5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe",
    ("Darwin", "arm64"): "66c512266d633bef48384a1f53003f41f2a8e7b36fe6e7fbfd3e0fd52d96fa63",
    ("Darwin", "x86_64"): "c16ed11e013557536b3e60065f1b912f6407bd6518e041b961e23ef9e6b4fbf5",
}
UV_INDEX_VARIABLES = tuple(f"UV_{name}" for name in ("DEFAULT_INDEX", "INDEX", "INDEX_URL", "FIND_LINKS", "NO_INDEX"))
# More than there are cores: half of the tests wait for processes. Files in the order of tests/conftest.py.
SIDE_BY_SIDE = ("-n", "3", "--dist", "loadfile", "--no-loadscope-reorder")
PIP_AUDIT_VERSION = "2.10.1"
AUDIT_TIMEOUT_S = 120
FAILURE, USAGE, NO_INDEX, INTERRUPTED = 1, 2, 4, 130
LOOKS_LIKE_NO_INDEX = re.compile(
    r"failed to establish a new connection|connection (refused|reset|aborted|broken|error)|dns error|name resolution"
    r"|name or service not known|nodename nor servname|network (is unreachable|connectivity is disabled)|timed out"
    r"|tunnel|proxyerror|sslerror|certificate|failed to (fetch|download)|no matching distribution",
    re.IGNORECASE,
)
WRONG_HASH = re.compile(r"do not match the hashes|hash mismatch", re.IGNORECASE)


class SetupError(Exception):
    """The set-up cannot go on; carries the output of what failed."""


def main(argv: list[str]) -> int:
    """Set up if need be, then become the command asked for."""
    if sys.version_info < (3, 11):  # noqa: UP036 - that is the question
        say(f"Python 3.11 or newer is needed to start this, {sys.executable} is {platform.python_version()}")
        return FAILURE
    if not argv:
        print((__doc__ or "").strip())
        return USAGE
    try:
        ensure_environment()
    except SetupError as error:
        return explain(str(error))
    except KeyboardInterrupt:
        say("interrupted; start again to go on")
        return INTERRUPTED
    if argv[0] == "check":
        return check()
    if argv[0] == "test":
        os.chdir(str(ROOT))
        # They start hundreds of processes: what those import is compiled once, whatever is usual here.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        become([str(BIN / "python"), "-m", "pytest", *tests_asked_for(argv[1:])])
    become([str(BIN / "m1cep"), *argv])
    return FAILURE


def tests_asked_for(arguments: list[str]) -> list[str]:
    """Pytest's arguments: those given, or, with none or ``--slow``, those of one of the two parts of the suite."""
    if arguments not in ([], ["--slow"]):
        return arguments
    which = "slow" if arguments else "not slow"
    say(f"the tests that are {which}, on the embedded broker and, with Java 17 and Maven, on Apache Kafka")
    return ["-m", which, "--broker", "both", *SIDE_BY_SIDE]


def become(command: list[str]) -> None:
    """Replace this process: signals then reach the command itself, and its exit code is ours."""
    env = {**os.environ, "VIRTUAL_ENV": str(VENV), "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    uv = find_uv()
    if uv:
        env["M1CEP_UV"] = uv  # `m1cep data fetch` downloads with it
    os.execve(command[0], command, env)  # noqa: S606 - no shell is wanted


# --- set-up -----------------------------------------------------------------------------------------------------------


def ensure_environment() -> None:
    """Make or renew ``.venv`` unless it is what the lock files ask for; one process at a time."""
    wanted = fingerprint()
    if is_ready(wanted):
        return
    OWN.mkdir(exist_ok=True)
    with alone():
        if is_ready(wanted):
            return
        started = time.monotonic()
        say(f"setting up .venv with Python {platform.python_version()}, some 10 to 60 s ...")
        LOG.write_text("")
        install()
        STAMP.write_text(wanted)
        say(f"ready after {time.monotonic() - started:.0f} s")


def fingerprint() -> str:
    """Names everything that the environment depends on; its paths are absolute, so the folder's name too."""
    digest = hashlib.sha256()
    for part in (sys.version, sys.base_prefix, platform.machine(), str(ROOT)):
        digest.update(part.encode() + b"\0")
    for name in ("uv.lock", "pyproject.toml", "requirements.txt"):
        digest.update((ROOT / name).read_bytes() + b"\0")
    return digest.hexdigest()


def is_ready(wanted: str) -> bool:
    """Whether the environment was made from what is there now, to the end."""
    try:
        return STAMP.read_text() == wanted and (BIN / "m1cep").exists()
    except OSError:
        return False


@contextlib.contextmanager
def alone():  # noqa: ANN201 - Iterator would have to be imported for this alone
    """Wait until no other process sets up this folder."""
    import fcntl

    with (OWN / "setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process is setting up this folder; waiting for it ...")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def install() -> None:
    """Install the locked dependencies and the project itself, by the first way that works."""
    STAMP.unlink(missing_ok=True)
    faults = []
    for way in (with_uv, with_pip):
        try:
            way()
        except SetupError as error:
            faults.append(f"{way.__name__[5:]}: {error}")
            if way is with_uv:
                say("uv could not do it, trying pip ...")
        else:
            return
    raise SetupError("\n".join(faults))


def with_uv() -> None:
    """``uv sync`` with uv.lock; with an index of the user's own, the hashed requirements: the lock names pypi.org."""
    uv = find_uv() or install_uv()
    env = {"UV_PROJECT_ENVIRONMENT": str(VENV), "UV_PYTHON_DOWNLOADS": "never"}
    if not any(os.environ.get(name) for name in UV_INDEX_VARIABLES):
        try:
            run([uv, "sync", "--locked", *EXTRAS, "--python", sys.executable], env)
        except SetupError as error:
            if "needs to be updated" not in str(error):
                raise
            # A developer's mistake, or uv.toml names another index than the lock: the remedy for both is the same.
            say("uv.lock does not fit pyproject.toml or uv's own configuration; installing requirements.txt instead")
        else:
            return
    env["VIRTUAL_ENV"] = str(VENV)
    run([uv, "venv", "--clear", "--python", sys.executable, str(VENV)], env)
    run([uv, "pip", "install", "--require-hashes", "-r", str(REQUIREMENTS)], env)
    run([uv, "pip", "install", "--no-deps", "--editable", str(ROOT)], env)


def with_pip() -> None:
    """The hashed requirements with pip, from the index that it is configured for."""
    make_venv(VENV)
    pip = [str(BIN / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
    run([*pip, "--require-hashes", "-r", str(REQUIREMENTS)])
    run([*pip, "--no-deps", "--editable", str(ROOT)])


def find_uv() -> str | None:
    """The user's uv, else our copy."""
    return shutil.which("uv") or (str(OWN_UV) if OWN_UV.exists() else None)


def install_uv() -> str:
    """A copy of uv outside .venv, where it would remove itself when it syncs; there is no half of it."""
    sha256 = UV_SHA256.get((platform.system(), platform.machine()))
    if sha256 is None:
        raise SetupError("there is no uv for this machine")
    bootstrap = OWN / "bootstrap"
    make_venv(bootstrap)
    pip = [str(bootstrap / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    config = subprocess.run([*pip, "config", "list"], capture_output=True, text=True, check=False).stdout
    if re.search(r"^\S+\.(index-url|no-index)='(?!https://pypi\.org/)", config, re.MULTILINE):
        raise SetupError("pip is configured for an index of its own, which uv does not know")
    wanted = OWN / "uv-requirement.txt"
    wanted.write_text(f"uv=={UV_VERSION} --hash=sha256:{sha256}\n")
    run([*pip, "install", "--only-binary", ":all:", "--require-hashes", "-r", str(wanted)])
    (bootstrap / "bin" / "uv").replace(OWN_UV)
    shutil.rmtree(str(bootstrap), ignore_errors=True)
    return str(OWN_UV)


def make_venv(folder: Path) -> None:
    """An empty environment with pip."""
    try:
        run([sys.executable, "-m", "venv", "--clear", str(folder)])
    except SetupError as error:
        raise SetupError(f"{error}\n`{sys.executable} -m venv` fails; Debian: apt install python3-venv") from error


def run(command: list[str], env: dict[str, str] | None = None) -> None:
    """Run a step of the set-up; its output goes to the log, its last line to a terminal. SetupError with the output."""
    inherited = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH")}
    settings = {"PIP_RETRIES": "2", **inherited, "NO_COLOR": "1", **(env or {})}
    output = []
    # Not SIGTERM's default action, which would leave the child alone at work.
    old = signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    with LOG.open("a") as log:
        log.write("$ " + " ".join(command) + "\n")
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        group = {"start_new_session": True}  # one signal ends the child with its own children
        with subprocess.Popen(
            command, env=settings, cwd=str(ROOT), text=True, errors="replace", **pipes, **group
        ) as child:
            try:
                for line in child.stdout:
                    log.write(line)
                    output.append(line)
                    show(line)
            except BaseException:
                os.killpg(child.pid, signal.SIGKILL)
                raise
            finally:
                show("")
                signal.signal(signal.SIGTERM, old)
    if child.returncode:
        raise SetupError("".join(output).strip())


def explain(output: str) -> int:
    """Say in one line what a failed set-up means; the exit code."""
    errors = [line for line in output.splitlines() if "error" in line.lower()] or output.splitlines() or ["no output"]
    last = errors[-1].strip()[:200]
    if WRONG_HASH.search(output):
        say(f"the package index gave a file with another hash than the locked one; it was not installed, see {LOG}")
        return NO_INDEX
    if LOOKS_LIKE_NO_INDEX.search(output):
        say(
            "no package index can be reached; check the network or the proxy, or name an index in PIP_INDEX_URL or "
            f"UV_DEFAULT_INDEX ({last}; all of it in {LOG})",
        )
        return NO_INDEX
    say(f"the set-up failed: {last}; all of it in {LOG}")
    return FAILURE


# --- check ------------------------------------------------------------------------------------------------------------


def check() -> int:
    """Run every static check, all of them even when one fails."""
    os.chdir(str(ROOT))
    uv = find_uv()
    failed = []
    steps = [
        ("ruff check", [str(BIN / "ruff"), "check"]),
        ("ruff format", [str(BIN / "ruff"), "format", "--check"]),
        ("mypy", [str(BIN / "mypy")]),
        ("import contracts", [str(BIN / "lint-imports")]),
    ]
    if uv:
        steps.append(("uv.lock is current", [uv, "lock", "--check", "--quiet"]))
    else:
        say("uv is not there: the lock files are not compared")
    for name, command in steps:
        say(f"{name} ...")
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    if not audit(uv):
        failed.append("no known vulnerabilities")
    if uv and not requirements_are_current(uv):
        say(f"requirements.txt is not that of uv.lock; make it with: uv {EXPORT} -o requirements.txt")
        failed.append("requirements.txt is current")
    say("all checks passed" if not failed else f"failed: {', '.join(failed)}")
    return FAILURE if failed else 0


def requirements_are_current(uv: str) -> bool:
    """Whether uv would export the same requirements; comments, which differ between its versions, apart."""
    done = subprocess.run([uv, *EXPORT.split()], capture_output=True, text=True, check=False)
    return done.returncode == 0 and without_comments(done.stdout) == without_comments(REQUIREMENTS.read_text())


def audit(uv: str | None) -> bool:
    """Whether no locked package has a known vulnerability, as far as that can be asked now; what cannot is said."""
    if uv is None:
        say("uv is not there: known vulnerabilities are not looked for")
        return True
    say("known vulnerabilities ...")
    tool = [uv, "tool", "run", "--quiet", f"pip-audit=={PIP_AUDIT_VERSION}"]
    options = [
        "--requirement",
        str(REQUIREMENTS),
        "--require-hashes",
        "--disable-pip",
        "--format",
        "json",
        "--timeout",
        "10",
    ]
    try:
        done = subprocess.run(
            [*tool, *options],
            capture_output=True,
            text=True,
            timeout=AUDIT_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        packages = json.loads(done.stdout)["dependencies"]
    except subprocess.TimeoutExpired:
        say(f"known vulnerabilities: no answer in {AUDIT_TIMEOUT_S} s, going on without")
        return True
    except (ValueError, KeyError, TypeError):
        reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        say(f"known vulnerabilities cannot be looked for, going on without: {reason[:200]}")
        return True
    for package in packages:
        for found in package.get("vulns", ()):
            mended = ", ".join(found.get("fix_versions", ())) or "none yet"
            say(f"{package['name']} {package.get('version')} has {found.get('id')}; mended in: {mended}")
    asked = sum("vulns" in package for package in packages)
    if asked < len(packages):
        say(
            f"known vulnerabilities: the index knew of {asked} of {len(packages)} packages, nothing is said of the others"
        )
    return not any(package.get("vulns") for package in packages)


def without_comments(requirements: str) -> list[str]:
    """The lines that pip reads."""
    return [line.strip() for line in requirements.splitlines() if line.strip() and not line.lstrip().startswith("#")]


# --- words ------------------------------------------------------------------------------------------------------------


def say(text: str) -> None:
    """One line to stderr."""
    print(f"run.py: {' '.join(text.split())}", file=sys.stderr, flush=True)


def show(line: str) -> None:
    """The last line of what is being done, over the one before it; on a terminal only."""
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 5
        plain = "".join(c for c in line.strip() if c.isprintable())
        print(f"\r\x1b[2K{'  ' + plain[:width] if plain else ''}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
