"""Lists and parameters from a folder: what is read, and what is said of a file that is wrong."""

import pytest

from m1cep import Engine, compile_rule
from streams.errors import UsageError
from streams.files import load_streams
from streams.lookups import load_lookups


@pytest.fixture
def folder(tmp_path):
    """Writes files, given as name=content with __ for /, and gives the folder."""

    def write(**files):
        for name, content in files.items():
            file = tmp_path / name.replace("__", "/").replace("_yaml", ".yaml").replace("_txt", ".txt")
            file.parent.mkdir(exist_ok=True)
            file.write_text(content, encoding="utf-8")
        return tmp_path

    return write


def refused(path):
    with pytest.raises(UsageError) as caught:
        load_lookups(path)
    return str(caught.value)


def test_a_list_has_an_entry_a_line(folder):
    found = load_lookups(folder(lists__bad_txt="\ufeff# comment\n 0xA \n\n0xb # not a comment\r\n0xA\n"))
    assert found.members("bad") == {"0xA", "0xb # not a comment"}
    assert found.members("other") is None


def test_parameters_have_values_by_key_and_for_the_rest(folder):
    found = load_lookups(
        folder(
            params_yaml="max: {default: 10, a1: 5.5, 007: 1}\nflat: yes\nwait: 5 s\nonly: {a: x}\nrules: {r: {n: 4}}"
        )
    )
    assert (found.parameter("max").default, found.parameter("max").by_key) == (10, {"a1": 5.5, "007": 1})
    assert found.parameter("flat").default is True
    assert found.parameter("only").default is None
    assert found.parameter("rules") is None
    assert found.overrides("r") == {"n": 4}
    assert found.overrides("q") == {}


def test_an_empty_file_has_no_parameters(folder):
    assert load_lookups(folder(params_yaml="# nothing yet\n")).parameter("max") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max: {a: 1}\nmax: 2", "params.yaml, line 2: 'max' stands here twice"),
        ("max:\n  a: 1\n  a: 2", "params.yaml, line 3: 'a' stands here twice"),
        ("max:\n  NO: 1", "params.yaml, line 2: expected a name, got 'NO': write it in quotes"),
        ("max:\n- 1", "line 2: expected one value, not several"),
        ("max: {a: {b: 1}}", "line 1: expected one value, not several"),
        ("max:\n  a: 2026-01-01", "line 2: expected a number, text, a duration or true/false, got '2026-01-01'"),
        ("max: .inf", "line 1: expected a number, text"),
        ("max:", "line 1: expected a number, text"),
        ("- 1", "line 1: expected name: value"),
        ("rules: {r: 5}", "line 1: expected name: value, got '5'"),
        ("a: [", "line 1: not YAML"),
        ("a: !!python/object:os.system x", "line 1: expected a number, text"),
        ("a: &x {b: *x}", "line 1"),
    ],
)
def test_what_is_no_parameter_is_refused_with_its_line(folder, text, message):
    assert message in refused(folder(params_yaml=text))


def test_files_that_are_no_lists_are_refused(folder, tmp_path):
    assert "line 2: expected an entry of printable characters" in refused(folder(lists__bad_txt="a\nb\x00c"))
    (tmp_path / "lists" / "bad.txt").unlink()
    (tmp_path / "lists" / "bad.csv").write_text("a")
    assert "bad.csv is not a list" in refused(tmp_path)


def test_a_folder_that_has_nothing_is_refused(tmp_path):
    assert "has neither lists/ nor params.yaml" in refused(tmp_path)
    assert "there is no folder" in refused(tmp_path / "nowhere")


def test_the_packaged_ones_are_the_default():
    rule = compile_rule("SELECT account FROM accounts WHERE IN_LIST('sanctions', address)", load_streams())
    event = {"event_id": "e", "account": "a", "kind": "withdrawal", "ts": 1}
    engine = Engine([rule], load_lookups())
    hit = {"address": "0xbad0000000000000000000000000000000000001"}
    alerts = engine.push("accounts", [event | hit, event | {"address": "0xgood"}]) + engine.finish()
    assert len(alerts) == 1
