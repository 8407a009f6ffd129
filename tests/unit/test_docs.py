"""What README and docs say is run; what would take too long is held against the command itself."""

import re

import pytest
from commands import fault
from pages import PAGES, ROOT, blocks, commands, inline_commands

from m1cep import compile_rule
from streams.files import load_streams


def cases(found):
    return [pytest.param(what, id=name) for name, what in found]


@pytest.mark.parametrize("block", cases(blocks("python")))
def test_python_blocks_run(block):
    exec(compile(block, "<docs>", "exec"), {"__name__": "__docs__"})


@pytest.mark.parametrize("block", [case for case in cases(blocks("sql")) if "tutorial" not in case.id])
def test_sql_blocks_are_rules_on_the_built_in_streams(block):
    assert compile_rule(block, load_streams()).summary


def test_every_command_line_could_be_given():
    wrong = [
        f"{where}: {found}" for where, words in commands() if (found := fault(words)) and not left_out(where, found)
    ]
    assert wrong == []


def test_every_command_in_a_sentence_exists_with_its_options():
    wrong = [
        f"{where}: {found}"
        for where, words in inline_commands()
        if (found := fault(words)) and not re.search(r" needs |requires an argument", found)
    ]
    assert wrong == []


def left_out(where, found):
    """Whether the page says with dots that it leaves out what is missing."""
    return " ... " in f"{where} " and " needs " in found


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["worker", "--agents", "risk"], ""),
        (["worker", "--agent", "risk"], "No such option: --agent"),
        (["topics", "make"], "has no command 'make'"),
        (["topics"], "needs a command"),
        (["broker", "9092"], "takes no '9092'"),
        (["custody", "keygen", "v", "--as", "bob"], "needs --key"),
        (["ledger", "verify", "proof.json", "--user", "alice"], ""),
    ],
)
def test_a_command_that_cannot_be_given_is_found(words, said):
    assert (said in fault(words)) if said else fault(words) == ""


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_that_pages_name_exist(page):
    named = re.findall(r"`((?:docs|rules|bench|m1cep|streams|tests)/[\w./-]*)`", page.read_text())
    missing = [n for n in named if not (ROOT / n).exists() and "*" not in n]
    assert missing == []


def test_every_page_of_the_docs_can_be_found_from_the_first_ones():
    first = "".join((ROOT / name).read_text() for name in ("README.md", "docs/architecture.md"))
    pages = [page.name for page in (ROOT / "docs").glob("*.md")]
    assert [name for name in pages if f"docs/{name}" not in first and name != "architecture.md"] == []


def test_every_picture_is_shown_and_every_one_shown_is_there():
    shown = {
        (page.parent / name).resolve()
        for page in PAGES
        for name in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text())
    }
    assert [str(one) for one in shown if not one.exists()] == []
    assert [one.name for one in (ROOT / "docs" / "images").iterdir() if one not in shown] == []
