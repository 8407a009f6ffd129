"""All commands at once: options that each has, examples, the page of them, and wrong input at every one."""

import os
import re
import shlex
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
import typer

from m1cep.errors import M1cepError, RuleError
from streams.cli import app
from streams.cli.reference import command_tree, example_of, page
from streams.errors import ExitCode, ShellError

ROOT = Path(__file__).parents[3]
COMMANDS = dict(command_tree())
CLI = typer.main.get_command(app)
NAMES = [" ".join(words) for words in COMMANDS]

#: Their words are those of a program of its own.
WITHOUT_JSON = {"ledger verify": "it is the customer's own verify_balance.py, and has its options"}
#: Given any value that can be used they start servers, download, or run for minutes.
STARTS = {
    "demo",
    "bench",
    "soak",
    "broker",
    "cache",
    "db",
    "data fetch",
    "data synthetic",
    "worker",
    "alerts tail",
    "notify",
}
NO_INDEX = {"PIP_INDEX_URL": "http://127.0.0.1:1/", "PIP_RETRIES": "0", "PIP_CONFIG_FILE": os.devnull, "M1CEP_UV": ""}
M1CEP = [sys.executable, "-c", "import sys; from streams.cli import main; sys.exit(main())"]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A folder to run in, with nothing in it that helps; no broker, no cache, no database."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("M1CEP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("M1CEP_BROKER", "127.0.0.1:1")
    monkeypatch.setenv("M1CEP_SIGNER_PASSPHRASE", "open sesame")
    (tmp_path / "folder").mkdir()
    (tmp_path / "garbage").write_bytes(b"\xff\xfe\x00[[= {\n\x80")
    (tmp_path / "unclosed").write_text('[a\nb = "c\n{"d": [')
    return tmp_path


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs a command: its exit code, and what a person reads. Any exception that is none of ours is a traceback."""
    monkeypatch.setattr(sys, "stdin", StringIO())

    def to_its_end(*arguments):
        try:
            CLI.main(args=list(arguments), prog_name="m1cep")
        except SystemExit as end:
            said = capsys.readouterr()
            return end.code or 0, said.out + said.err
        except M1cepError as error:
            return _told(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, a person would see a traceback
            pytest.fail(f"m1cep {shlex.join(arguments)} gives a traceback: {error!r}")
        raise AssertionError("a command ends by SystemExit")

    return to_its_end


def _told(error):
    """Exit code and text of one of our errors."""
    text = str(error)
    assert text.strip()
    assert "\n" not in text or isinstance(error, RuleError), f"more than one line: {text}"
    return (error.exit_code if isinstance(error, ShellError) else int(ExitCode.FAILURE)), text


def required(command, but=None):
    """Something for each argument and option that must be there."""
    found = []
    for param in command.params:
        if param.required and param is not but:
            value = "1" if _kind(param) in {"int", "float"} else "x"
            found += [value] if param.param_type_name == "argument" else [param.opts[0], value]
    return found


def _kind(param):
    """int, float, Path or another, of a parameter or of each of its values."""
    annotation = str(param.type_descriptor.annotation)
    return next((kind for kind in ("int", "float", "Path") if re.search(rf"\b{kind}\b", annotation)), "")


def _typed(*kinds):
    """Parameters of kinds, of every command."""
    for words, command in COMMANDS.items():
        for param in command.params:
            if _kind(param) in kinds and not ("Path" in kinds and " ".join(words) in STARTS):
                yield pytest.param(words, param, id=f"{' '.join(words)}-{param.name}")


class TestEveryCommand:
    @pytest.mark.parametrize("name", NAMES)
    def test_it_has_json(self, name):
        options = [option for param in COMMANDS[tuple(name.split())].params for option in param.opts]
        assert ("--json" in options) != (name in WITHOUT_JSON)

    @pytest.mark.parametrize("name", NAMES)
    def test_its_help_has_an_example_of_options_that_it_has(self, name):
        command = COMMANDS[tuple(name.split())]
        example = example_of(command)
        assert f"m1cep {name}" in example
        if name not in WITHOUT_JSON:
            known = {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
            here = re.split(r"[|;]", example)[0]
            assert set(re.findall(r"(?<=\s)--[\w-]+", here)) <= known

    @pytest.mark.parametrize("name", NAMES)
    def test_its_help_is_shown_and_says_what_each_option_is(self, name, run):
        command = COMMANDS[tuple(name.split())]
        if name not in WITHOUT_JSON:
            code, text = run(*name.split(), "--help")
            assert code == 0
            assert "--json" in text
        assert [param.name for param in command.params if not param.help] == []

    def test_the_page_of_commands_is_current(self):
        made = "python -m streams.cli.reference docs/commands.md"
        assert (ROOT / "docs/commands.md").read_text() == page(), f"run `{made}`"


class TestWrongInput:
    @pytest.mark.parametrize("name", [name for name in NAMES if name not in WITHOUT_JSON])
    def test_an_unknown_option_is_refused(self, name, run):
        code, text = run(*name.split(), "--no-such-option")
        assert code == ExitCode.USAGE
        assert "no-such-option" in text

    @pytest.mark.parametrize(("words", "param"), list(_typed("int", "float")))
    def test_a_number_that_is_none_is_refused(self, words, param, run):
        given = ["many"] if param.param_type_name == "argument" else [param.opts[0], "many"]
        assert run(*words, *given)[0] == ExitCode.USAGE

    @pytest.mark.parametrize(("words", "param"), list(_typed("Path")))
    @pytest.mark.parametrize("wrong", ["missing/file", "folder", "garbage", "unclosed"])
    def test_a_file_that_is_of_no_use_gives_one_line(self, words, param, wrong, run):
        others = required(COMMANDS[words], but=param)
        given = [wrong] if param.param_type_name == "argument" else [param.opts[0], wrong]
        code, _ = run(*words, *given, *others)
        assert code in set(ExitCode)

    @pytest.mark.parametrize("option", ["--rules", "--streams", "--lookups"])
    @pytest.mark.parametrize("wrong", ["missing/file", "garbage", "unclosed"])
    def test_a_worker_does_not_begin_with_files_of_no_use(self, option, wrong, run):
        assert run("worker", option, wrong)[0] in {ExitCode.FAILURE, ExitCode.USAGE}

    @pytest.mark.parametrize("name", [name for name in NAMES if name not in STARTS | set(WITHOUT_JSON)])
    def test_settings_that_cannot_be_read_give_one_line(self, name, place, run):
        (place / "m1cep.toml").write_text("broker = [")
        code, _ = run(*name.split(), *required(COMMANDS[tuple(name.split())]))
        assert code in set(ExitCode)


class TestExitCodes:
    """As docs/commands.md says, of the process itself."""

    @pytest.mark.parametrize(
        ("arguments", "code", "said"),
        [
            (["--version"], 0, ""),
            (["rules", "check", "bad.sql"], 1, "bad.sql"),
            (["replay", "bad.sql", "--events", "orders=empty"], 1, "^"),
            (["replay", "--events", "nothing=empty"], 2, "there is no stream 'nothing'; there are: orders"),
            (["topics", "list"], 3, "no Kafka broker answers at 127.0.0.1:1; start one"),
            (["lists", "list"], 2, "no cache is given"),
            (["no-such-command"], 2, "No such command"),
            (["custody", "key", "empty"], 2, "is not there yet"),
            (["data", "fetch", "bitstamp"], 4, "check the network and the index settings"),
        ],
    )
    def test_of_typical_failures(self, arguments, code, said, place):
        (place / "bad.sql").write_text("SELECT account FROM orders WHERE nothing = 1")
        (place / "empty").touch()
        done = subprocess.run(
            [*M1CEP, *arguments],
            env={**os.environ, "NO_COLOR": "1", "PYTHONPATH": str(ROOT), **NO_INDEX},
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
        assert said in done.stdout + done.stderr
