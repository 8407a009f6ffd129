"""What README and docs say, cut into pieces that tests look at: blocks of code, and command lines of ``m1cep``."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_BEFORE = r"(?:(?:export|sudo|nice|time)\s+)?(?:[A-Z][A-Z0-9_]*=\S*\s+)*"
_COMMAND = re.compile(rf"^{_BEFORE}(?:m1cep|python3 run\.py)\s+(.*)$")
_NOT_OURS = {"test", "check"}  # of run.py itself
_INLINE = re.compile(r"`(?:m1cep|python3 run\.py) ([a-z][^`\n]*)`")


def blocks(kind: str) -> Iterator[tuple[str, str]]:
    """Fenced blocks of a language, each with a name."""
    for page in PAGES:
        found = [text for language, text in _FENCE.findall(page.read_text()) if language == kind]
        for number, text in enumerate(found):
            yield f"{page.relative_to(ROOT)}-{number}", text


def shell_lines(text: str) -> Iterator[str]:
    """Lines that are indented by four, and those of fenced blocks of shell; continued ones as one."""
    joined = re.sub(r"\\\n\s*", " ", text)
    for language, block in _FENCE.findall(joined):
        if language in ("sh", "bash", "shell", "console"):
            yield from block.splitlines()
    for line in _FENCE.sub("", joined).splitlines():
        if line.startswith("    "):
            yield line[4:]


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every command line of ``m1cep`` in a block of shell: where it stands, and its words."""
    for page in PAGES:
        for line in shell_lines(page.read_text()):
            for part in re.split(r"\s*(?:&&|\|\||[;|])\s*(?=m1cep |python3 )", line.removeprefix("$ ")):
                if found := _COMMAND.match(part):
                    words = _words(found[1])
                    if words[0] not in _NOT_OURS:
                        yield f"{page.relative_to(ROOT)}: {part.strip()}", words


def inline_commands() -> Iterator[tuple[str, list[str]]]:
    """The same of `code` within a sentence, where what is needed may be left out."""
    for page in PAGES:
        for text in _INLINE.findall(page.read_text().replace("\\|", "|")):  # a table's
            # `custody approve|reject` is two commands.
            first = re.search(r"(?<= )[\w|-]+\|[\w-]+", text)
            for one in first[0].split("|") if first else [""]:
                words = _words(text.replace(first[0], one) if first else text)
                if words and words[0] not in _NOT_OURS:
                    yield f"{page.relative_to(ROOT)}: {text}", words


def _words(text: str) -> list[str]:
    """Words up to a comment, a pipe or a redirection; brackets around what may be left out, and dots, are dropped."""
    text = re.split(r"(?:^|\s)#|\s[0-9]?>|\s<\s|\s\|\s|\s&(?:\s|$)", text)[0]
    text = re.sub(r"\[(--[^\]]*)\]", r"\1", text)
    try:
        words = shlex.split(text)
    except ValueError:  # a quotation goes on in the next line
        words = text.split()
    return [word.rstrip(";") for word in words if word not in ("...", "…")]
