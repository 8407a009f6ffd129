"""docs/tutorial.md, walked as it is written: its files saved, its commands given in one shell, what they say compared."""

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from streams.embedded.ports import any_free_port

pytestmark = pytest.mark.broker

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
#: Each waits for something that a machine under load does late.
LONGEST_S = 240
_FENCE = re.compile(r"(?P<before>.*)\n\n```(?P<kind>\w+)(?P<how> fails)?\n(?P<text>(?s:.*?))^```", re.MULTILINE)


@dataclass
class Step:
    """Commands of the page, and what they should say."""

    commands: str
    fails: bool
    says: list[str] = field(default_factory=list)


def steps_of(page, folder):
    """The page's files are written to the folder; its commands come back."""
    steps = []
    for block in _FENCE.finditer(page):
        if block["kind"] in ("sql", "json"):
            (name,) = re.findall(r"as `(my/[\w./-]+)`", block["before"])
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(block["text"])
        elif block["kind"] == "sh":
            steps.append(Step(block["text"], bool(block["how"])))
        elif steps:  # before the first command: what the set-up does
            steps[-1].says = block["text"].splitlines()
    return steps


def said(expected, output):
    """Whether a line of the page is there; dots stand for what differs between runs."""
    parts = [re.escape(re.sub(r"\s+", " ", part.strip())) for part in expected.split("...")]
    return re.search(".*".join(parts), re.sub(r"[^\S\n]+", " ", output)) is not None


def environment(folder, broker_port):
    """What `. .venv/bin/activate` brings: the command, on the path."""
    place = folder / ".venv" / "bin"
    place.mkdir(parents=True)
    (place / "activate").write_text(f'PATH="{place}:$PATH"\n')
    (place / "m1cep").write_text(f'#!/bin/sh\nexec {sys.executable} -m streams.cli "$@"\n')
    (place / "m1cep").chmod(0o755)
    # Lines of logs and tables are not broken where the page's are not.
    own = {"M1CEP_HOME": str(folder / "home"), "M1CEP_BROKER": f"127.0.0.1:{broker_port}", "COLUMNS": "200"}
    return {k: v for k, v in os.environ.items() if not k.startswith("M1CEP_")} | own


@pytest.mark.slow
@pytest.mark.embedded_only("it starts the embedded broker itself")
def test_the_tutorial_can_be_walked_as_it_is_written(tmp_path):
    steps = steps_of(PAGE.read_text(), tmp_path)
    assert len(steps) > 8
    script = tmp_path / "walk.sh"
    with script.open("w") as file:
        file.write("set -e; trap 'kill $(jobs -p) || :' EXIT\n")
        for number, step in enumerate(steps):
            file.write(f"exec > {tmp_path}/said-{number} 2>&1\n")
            commands = step.commands.rstrip()
            file.write(f"if {commands}; then exit 9; fi\n" if step.fails else f"{commands}\n")
    env = environment(tmp_path, any_free_port())
    walk = subprocess.Popen(["bash", script], cwd=tmp_path, env=env, start_new_session=True)
    try:
        walk.wait(LONGEST_S)
    except subprocess.TimeoutExpired:
        pass  # what was said until then tells more
    finally:
        if walk.poll() is None:
            os.killpg(walk.pid, signal.SIGKILL)
    for number, step in enumerate(steps):
        file = tmp_path / f"said-{number}"
        output = file.read_text() if file.exists() else ""
        for line in step.says:
            assert said(line, output), f"{step.commands}\ndoes not say\n{line}\nbut\n{output}{logs(tmp_path)}"
        assert file.exists(), f"not reached:\n{step.commands}{logs(tmp_path)}"
        reached = output
    assert walk.returncode == 0, reached + logs(tmp_path)


def logs(folder):
    return "".join(f"\n--- {log.name}\n{log.read_text()[-1500:]}" for log in sorted(folder.glob("my/*.log")))


def test_a_line_that_is_not_said_is_found(tmp_path):
    assert said('"id":"...","row":1', '{"id":"abc","row":1}')
    assert not said('"id":"...","row":2', '{"id":"abc","row":1}')
    (step,) = steps_of("Text:\n\n```sh fails\nfalse\n```\n\n```text\nno\n```\n", tmp_path)
    assert (step.fails, step.says) == (True, ["no"])
