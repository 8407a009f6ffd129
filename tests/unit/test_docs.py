"""What README and docs say is run."""

import re
from pathlib import Path

import pytest

from m1cep import compile_rule
from streams.files import load_streams

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(kind):
    for page in PAGES:
        for n, block in enumerate(re.findall(rf"^```{kind}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)):
            yield pytest.param(block, id=f"{page.relative_to(ROOT)}-{n}")


@pytest.mark.parametrize("block", list(blocks("python")))
def test_python_blocks_run(block):
    exec(compile(block, "<docs>", "exec"), {"__name__": "__docs__"})


@pytest.mark.parametrize("block", list(blocks("sql")))
def test_sql_blocks_are_rules_on_the_built_in_streams(block):
    assert compile_rule(block, load_streams()).summary


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_that_pages_name_exist(page):
    named = re.findall(r"`((?:docs|rules|bench|m1cep|streams|tests)/[\w./-]*)`", page.read_text())
    missing = [n for n in named if not (ROOT / n).exists() and "*" not in n]
    assert missing == []
