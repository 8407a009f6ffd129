"""run.py: the set-up with a small project of its own, offline; real pip, real processes."""

import ast
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

RUN = Path(__file__).parents[2] / "run.py"

# A build backend without requirements: it makes the editable wheel of a project with the command m1cep.
BACKEND = """
import pathlib, zipfile
INFO = "m1cep-1.dist-info"
def build_editable(folder, config_settings=None, metadata_directory=None):
    name = "m1cep-1-py3-none-any.whl"
    files = {
        "m1cep_project.pth": str(pathlib.Path.cwd()),
        f"{INFO}/METADATA": "Metadata-Version: 2.1\\nName: m1cep\\nVersion: 1\\n",
        f"{INFO}/WHEEL": "Wheel-Version: 1.0\\nGenerator: here\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        f"{INFO}/entry_points.txt": "[console_scripts]\\nm1cep = command:main\\n",
    }
    with zipfile.ZipFile(pathlib.Path(folder) / name, "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
        wheel.writestr(f"{INFO}/RECORD", "".join(f"{path},,\\n" for path in [*files, f"{INFO}/RECORD"]))
    return name
"""
COMMAND = "import os, sys\ndef main():\n    print(os.getpid(), sys.argv[1:], os.getcwd())\n    return 7\n"
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "m1cep"
version = "1"
"""


def write_wheel(folder, name="tiny"):
    """A package of one file, and its sha256."""
    path = folder / f"{name}-1-py3-none-any.whl"
    info = f"{name}-1.dist-info"
    files = {
        f"{name}.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n",
    }
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in files.items():
            wheel.writestr(zipfile.ZipInfo(file), text)  # a ZipInfo has no time of its own: always the same bytes
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Project:
    """A project that run.py can set up without a network: uv fails, pip has a folder instead of an index."""

    def __init__(self, folder):
        self.folder = folder
        self.wheels = folder / "wheels"
        self.wheels.mkdir(parents=True)
        self.sha256 = write_wheel(self.wheels)
        shutil.copy(RUN, folder / "run.py")
        (folder / "backend.py").write_text(BACKEND)
        (folder / "command.py").write_text(COMMAND)
        (folder / "pyproject.toml").write_text(PYPROJECT)
        (folder / "uv.lock").write_text("not a lock file")
        self.require(self.sha256)
        tools = folder / "tools"
        tools.mkdir()
        (tools / "uv").write_text("#!/bin/sh\necho 'error: no lock'\nexit 2\n")
        (tools / "uv").chmod(0o755)
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "UV_", "M1CEP_"))}
        self.env = inherited | {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "HOME": str(folder / "home"),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
        }

    def require(self, sha256):
        (self.folder / "requirements.txt").write_text(f"tiny==1 --hash=sha256:{sha256}\n")

    def start(self, *arguments, **options):
        return subprocess.Popen(
            [sys.executable, self.folder / "run.py", *arguments],
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def run(self, *arguments, **options):
        process = self.start(*arguments, **options)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err, process.pid


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "project")


def test_it_can_be_read_by_python_3_8():
    ast.parse(RUN.read_text(), feature_version=(3, 8))


def test_an_old_python_is_told_in_one_line():
    versions = [shutil.which(f"python3.{minor}") for minor in range(8, 11)]
    pyenv = sorted(Path.home().glob(".pyenv/versions/3.[89].*/bin/python3"))
    for old in [v for v in (*versions, *map(str, pyenv)) if v]:
        done = subprocess.run([old, RUN, "demo"], capture_output=True, text=True, check=False)
        if done.returncode == 127:  # pyenv's shim of a version that is not chosen
            continue
        assert done.returncode == 1
        assert done.stderr.startswith("run.py: Python 3.11 or newer is needed to start this, ")
        assert done.stderr.count("\n") == 1
        return
    pytest.skip("no working Python from 3.8 to 3.10 on the PATH")


@pytest.mark.slow
def test_the_first_start_sets_up_and_later_ones_only_start(project, tmp_path):
    code, out, err, pid = project.run("demo", "--seconds", "3", cwd=tmp_path)
    # The command is this very process, so that signals reach it; it keeps arguments, folder and exit code.
    assert (code, out) == (7, f"{pid} ['demo', '--seconds', '3'] {tmp_path}\n")
    assert "setting up .venv" in err
    assert "trying pip" in err
    assert (project.folder / ".venv" / "bin" / "m1cep").exists()

    shutil.rmtree(project.wheels)  # nothing could be installed from here on
    code, _, err, _ = project.run("demo")
    assert (code, err) == (7, "")

    project.wheels.mkdir()
    write_wheel(project.wheels)
    sha256 = write_wheel(project.wheels, "another")
    with (project.folder / "requirements.txt").open("a") as file:
        file.write(f"another==1 --hash=sha256:{sha256}\n")
    code, _, err, _ = project.run("demo")
    assert code == 7
    assert "setting up .venv" in err
    assert list((project.folder / ".venv").glob("lib/python*/site-packages/another.py"))

    # The scripts in .venv name its folder: in a renamed one they are of no use.
    ask = [sys.executable, "-c", "import run; print(run.is_ready(run.fingerprint()))"]
    renamed = project.folder.with_name("renamed")
    before = subprocess.run(ask, cwd=project.folder, capture_output=True, text=True, check=True).stdout
    project.folder.rename(renamed)
    after = subprocess.run(ask, cwd=renamed, capture_output=True, text=True, check=True).stdout
    assert (before, after) == ("True\n", "False\n")


@pytest.mark.slow
def test_two_starts_at_once_set_up_once(project):
    both = [project.start("demo") for _ in range(2)]
    said = "".join(process.communicate(timeout=120)[1] for process in both)
    assert [process.returncode for process in both] == [7, 7]
    assert said.count("setting up .venv") == 1


@pytest.mark.slow
def test_without_an_index_it_ends_with_exit_code_4_and_says_so(project):
    (project.wheels / "tiny-1-py3-none-any.whl").unlink()
    code, out, err, _ = project.run("demo")
    assert (code, out) == (4, "")
    assert err.splitlines()[-1].startswith("run.py: no package index can be reached; check the network")
    assert "Traceback" not in err


@pytest.mark.slow
def test_a_package_with_another_hash_is_not_installed(project):
    project.require("0" * 64)
    code, _, err, _ = project.run("demo")
    assert code == 4
    assert "another hash than the locked one" in err.splitlines()[-1]
    assert not list((project.folder / ".venv").glob("lib/python*/site-packages/tiny.py"))


def test_without_arguments_it_says_what_it_can_do(project):
    code, out, _, _ = project.run()
    assert code == 2
    assert "run.py test" in out
    assert not (project.folder / ".venv").exists()


class TestTest:
    """What ``run.py test`` gives pytest."""

    @pytest.fixture
    def asked_for(self):
        def run(*arguments):
            script = f"import json, sys; sys.path.insert(0, {str(RUN.parent)!r}); import run"
            script += "; print(json.dumps(run.tests_asked_for(sys.argv[1:])))"
            done = subprocess.run(
                [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True
            )
            return json.loads(done.stdout)

        return run

    def test_every_test_is_in_one_of_the_two_parts_and_both_run_in_the_same_way(self, asked_for):
        quick, slow = asked_for(), asked_for("--slow")
        assert (quick[:2], slow[:2]) == (["-m", "not slow"], ["-m", "slow"])
        assert quick[2:] == slow[2:]
        assert "both" in quick

    def test_what_is_said_is_pytests(self, asked_for):
        assert asked_for("tests/unit", "-x") == ["tests/unit", "-x"]


class TestAudit:
    """``run.py check`` asks for known vulnerabilities; a network that is missing fails nothing."""

    @pytest.fixture
    def audit(self, tmp_path):
        """Runs the step with a uv whose pip-audit prints the text and ends with the code."""

        def run(out, err="", code=0):
            uv = tmp_path / "uv"
            (tmp_path / "out").write_text(out)
            uv.write_text(f"#!/bin/sh\ncat '{tmp_path}/out'\necho '{err}' >&2\nexit {code}\n")
            uv.chmod(0o755)
            script = f"import sys; sys.path.insert(0, {str(RUN.parent)!r}); import run; print(run.audit({str(uv)!r}))"
            done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
            return done.stdout.strip() == "True", done.stderr

        return run

    def test_a_vulnerability_fails_it_with_package_and_remedy(self, audit):
        vulnerable = {"name": "tiny", "version": "1", "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["2"]}]}
        fine, said = audit(
            json.dumps({"dependencies": [vulnerable, {"name": "good", "version": "1", "vulns": []}]}), code=1
        )
        assert not fine
        assert "tiny 1 has PYSEC-2026-1; mended in: 2" in said

    def test_no_vulnerability_is_fine_and_what_the_index_does_not_know_is_said(self, audit):
        known, unknown = {"name": "good", "version": "1", "vulns": []}, {"name": "own", "skip_reason": "not found"}
        assert audit(json.dumps({"dependencies": [known]})) == (True, "run.py: known vulnerabilities ...\n")
        fine, said = audit(json.dumps({"dependencies": [known, unknown]}))
        assert fine
        assert "the index knew of 1 of 2 packages" in said

    def test_without_a_network_it_says_so_and_goes_on(self, audit):
        fine, said = audit("", err="error: dns error", code=2)
        assert fine
        assert "cannot be looked for, going on without: error: dns error" in said
