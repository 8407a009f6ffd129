"""The protocol stays what it is for those who have made stubs of it: checked by buf, against what was published."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROTO, FILE = ROOT / "proto", "m1cep/risk/v1/risk.proto"
#: As it was released last. What is added to the protocol is put here with the next release.
PUBLISHED = ROOT / "tests" / "published" / "proto"
BUF = shutil.which("buf", path=str(Path(sys.executable).parent))

pytestmark = pytest.mark.skipif(BUF is None, reason="buf is not installed (group dev)")


def buf(*arguments):
    return subprocess.run([BUF, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False)


def test_it_is_written_as_buf_wants_it():
    done = buf("lint", PROTO)
    assert (done.returncode, done.stdout) == (0, "")


def test_nothing_of_what_was_published_has_changed():
    done = buf("breaking", PROTO, "--against", PUBLISHED)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("string symbol = 3;", "string symbol = 33;", "was deleted"),
        ("string symbol = 3;", "bytes symbol = 3;", "changed type"),
        ("rpc CheckBatch(", "rpc CheckMany(", "was deleted"),
        ("string symbol = 3;", "string symbol = 3;\n  // More.\n  string venue = 77;", ""),
    ],
)
def test_what_would_break_clients_is_found_and_an_addition_is_none(tmp_path, before, after, said):
    shutil.copytree(PROTO, tmp_path / "proto", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    file = tmp_path / "proto" / FILE
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after, 1))
    done = buf("breaking", tmp_path / "proto", "--against", PUBLISHED)
    assert said in done.stdout
    assert bool(done.returncode) is bool(said), done.stdout + done.stderr
