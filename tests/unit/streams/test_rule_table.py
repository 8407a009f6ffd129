"""The page about the rule pack says what the rules' front matter says."""

from pathlib import Path

from m1cep import compile_rule
from streams.files import load_streams, read_text, rule_files
from streams.rule_table import rule_tables

PAGE = Path(__file__).parents[3] / "docs" / "rule-pack.md"
BEGIN = "<!-- the tables are written by pytest tests/unit/streams/test_rule_table.py --update-golden -->\n\n"
STREAMS = load_streams()


def rule(front):
    return compile_rule(f"/*\n{front}\n*/ SELECT account FROM orders WHERE qty > 1", STREAMS)


def test_the_page_has_every_packaged_rule_as_its_front_matter_describes_it(request):
    tables = rule_tables((name, compile_rule(read_text(file), STREAMS, name)) for file, name in rule_files(None))
    text, _, there = PAGE.read_text().partition(BEGIN)
    if request.config.getoption("--update-golden"):
        PAGE.write_text(text + BEGIN + tables)
        return
    assert there == tables, f"{PAGE} is behind the rules: run this with --update-golden"


def test_a_table_for_each_folder_and_a_row_for_each_rule():
    tables = rule_tables(
        [
            ("trading/b.sql", rule("{id: b, severity: high, summary: Too much., source: Rule 1, action: halt_grid}")),
            ("account/c.sql", rule("{id: c, summary: Odd., source: Rule 3}")),
            (
                "trading/a.sql",
                rule("{id: a, severity: low, summary: This | that., params: {min_usd: 10, window: 5 s}}"),
            ),
        ]
    )
    assert tables.splitlines() == [
        "## account",
        "",
        "| rule | severity | finds | source | parameters |",
        "| --- | --- | --- | --- | --- |",
        "| `c` | medium | Odd. | Rule 3 | none |",
        "",
        "## trading",
        "",
        "| rule | severity | finds | source | parameters |",
        "| --- | --- | --- | --- | --- |",
        r"| `a` | low | This \| that. |  | `min_usd` 10, `window` 5 s |",
        "| `b` | high, `halt_grid` | Too much. | Rule 1 | none |",
    ]
