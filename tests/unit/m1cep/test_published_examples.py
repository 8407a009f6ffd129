"""The examples of MATCH_RECOGNIZE that other products publish give the results that they publish.

The examples are in tests/published. Each runs through the engine and, stated as trees, through the reference matcher.
"""

from itertools import islice

import pytest
from published import flink, oracle, snowflake, trino
from published.example import STREAMS, Example
from reference.compare import by_key

import m1cep

EXAMPLES = {
    name: value
    for module in (oracle, snowflake, trino, flink)
    for name, value in vars(module).items()
    if isinstance(value, Example)
}


@pytest.fixture(params=EXAMPLES.values(), ids=EXAMPLES)
def example(request):
    return request.param


def run(sql, stream, rows, finish=True):
    """The rows of the alerts: those of a key together, in the order in which they were found."""
    engine = m1cep.Engine([m1cep.compile_rule(sql, STREAMS, "published")])
    alerts = engine.push(stream, rows) + (engine.finish() if finish else [])
    return [alert.row for alert in sorted(alerts, key=lambda alert: str(alert.key))]


def test_the_engine_gives_the_published_result(example):
    found = run(example.sql, example.stream, example.rows, example.finished)
    assert example.shown(found) == example.published()


def test_the_reference_gives_the_published_result(example):
    rows = [row for row in example.rows if example.where is None or example.where(row)]
    found = [out.row for part in by_key(rows, example.tree.key).values() for out in chosen(example, part)]
    assert example.shown(found) == example.published()


def chosen(example, part):
    """The reference sees the end of the input; a published stream that goes on has not decided its last rows yet."""
    outputs = example.tree.outputs(part)
    return outputs if example.finished else islice(outputs, len(example.expected))


def test_flinks_skip_to_the_first_row_of_the_match_is_an_error():
    sql = flink.flink_skip_past.sql.replace("SKIP PAST LAST ROW", "SKIP TO FIRST A")
    with pytest.raises((m1cep.RuleError, m1cep.RuleFailure)):
        run(sql, "FlinkTicker", flink.flink_skip_past.rows)


def test_trinos_skip_to_the_first_row_of_the_match_is_an_error():
    with pytest.raises((m1cep.RuleError, m1cep.RuleFailure)):
        run(trino.trino_sql(skip="TO A"), "orders", trino.RISE)


def test_trino_forbids_exclusion_with_unmatched_rows():
    with pytest.raises(m1cep.RuleError):
        run(trino.trino_sql("A {- B+ C+ -} D+", rows="ALL ROWS PER MATCH WITH UNMATCHED ROWS"), "orders", trino.RISE)
