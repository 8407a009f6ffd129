"""``m1cep bench``: what it measures, not how fast that was."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

from streams.bench import loops
from streams.bench.data import market, orders, write_mixed
from streams.bench.figures import Row, Section, least, most
from streams.bench.flink import flink_figures
from streams.bench.plot import draw
from streams.bench.rules import KINDS, per_symbol
from streams.bench.run import SECTIONS, Document, benchmark
from streams.errors import ShellError, UsageError
from streams.files import load_streams

STREAMS = load_streams()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One quick run, as a user starts it."""
    plot = tmp_path_factory.mktemp("bench") / "bench.svg"
    command = [sys.executable, "-m", "streams.cli", "bench", "--quick", "--json", "--plot", str(plot)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout), plot.read_text()


def rows(document, section):
    [found] = [s for s in document["sections"] if s["name"] == section]
    return {row["what"]: row for row in found["rows"]}


@pytest.mark.slow
def test_the_document_has_every_section_and_the_machine(run):
    document, _ = run
    assert [section["name"] for section in document["sections"]] == list(SECTIONS)
    assert set(document["machine"]) == {"cpu", "cores", "python", "system", "load_1_min"}
    assert document["quick"] is True
    assert document["flink"]["events_per_s"] == {
        "A B C in 10 s": 72_000,
        "A{3,} W in 60 s": 21_000,
        "A+ B with AVG, 60 s": 2_200,
    }


@pytest.mark.slow
def test_every_kind_of_rule_is_set_against_decoding_and_three_against_flink(run):
    found = rows(run[0], "kinds")
    assert next(iter(found)) == "decode"
    measured = {name: row for name, row in found.items() if "of_decode" in row}
    assert {"filter", "A B C in 10 s", "A+ B with AVG, 60 s", "SUM OVER 60 s"} <= set(measured)
    for name, row in measured.items():
        assert row["events_per_s"] > 0
        assert row["of_decode"] == pytest.approx(row["events_per_s"] / found["decode"]["events_per_s"], abs=0.01)
        if "flink_events_per_s" in row:
            assert row["times_flink"] == pytest.approx(row["events_per_s"] / row["flink_events_per_s"], abs=0.1)
            assert [t["figure"] for t in row["targets"]] == ["of_decode", "times_flink"], name
    assert sum("times_flink" in row for row in measured.values()) == 3


@pytest.mark.slow
def test_rules_that_are_measured_find_something(run):
    assert {"filter", "A B C in 10 s"} <= {what for what, row in rows(run[0], "kinds").items() if row.get("alerts")}
    assert all(row["alerts"] for row in list(rows(run[0], "pack").values())[1:])
    assert rows(run[0], "rules")["100 rules"]["alerts"] > 0


@pytest.mark.slow
def test_every_figure_with_a_target_is_judged_by_it(run):
    judged = run[0]["targets"]
    assert {t["section"] for t in judged} == set(SECTIONS)
    for t in judged:
        figure, sign, bound = t["target"].rsplit(" ", 2)
        value = rows(run[0], t["section"])[t["what"]][figure.replace(" ", "_")]
        assert value == t["figure"]
        assert t["reached"] == (value >= float(bound) if sign == "≥" else value <= float(bound))


@pytest.mark.slow
def test_memory_is_measured_open_and_after(run):
    for row in rows(run[0], "keys").values():
        assert 50 < row["bytes_per_key"] < 10_000  # a key is at least its text
        assert row["bytes_per_key_after"] < row["bytes_per_key"]


@pytest.mark.slow
def test_the_plot_is_svg_with_every_panel(run):
    texts = [node.text for node in ET.fromstring(run[1]).iter("{http://www.w3.org/2000/svg}text")]
    for word in ("decoding alone", "by rules", "rows of a match", "per open key"):
        assert any(word in (text or "") for text in texts), word


def test_a_plot_of_one_section_leaves_the_others_out():
    document = Document({"cpu": "c<1>", "cores": 1, "python": "3"}, True, 1, flink_figures(None, 1, print), [])
    document.sections.append(Section("keys", "", [Row("1,000 keys", {"bytes_per_key": 9, "bytes_per_key_after": 0})]))
    texts = "".join(ET.fromstring(draw(document.to_dict())).itertext())
    assert "Bytes per open key" in texts
    assert "decoding alone" not in texts


def test_targets_include_their_bound():
    assert least("x", 0.6).reached(0.6)
    assert not least("x", 0.6).reached(0.59)
    assert most("x", 8).reached(8)
    assert not most("x", 8).reached(8.1)
    assert Row("a", {"x": 7}, (most("x", 8), most("missing", 1))).judged() == [(most("x", 8), True)]


def test_an_unknown_section_is_refused():
    with pytest.raises(UsageError, match="no benchmark 'speed'"):
        benchmark(["speed"])


def test_orders_and_market_events_fit_their_streams_and_come_in_order(tmp_path):
    made = {"orders": [value for _, _, value in orders(2_000)], "market": list(market(2_000))}
    files, count = write_mixed(tmp_path, 1)
    read = {name: file.read_bytes().splitlines() for name, file in files.items()}
    assert sum(map(len, read.values())) == count
    for name, raws in [*made.items(), *read.items()]:
        decoded, errors, _ = STREAMS[name].decode_many(raws)
        assert errors == []
        times = [row.ts for row in decoded]
        assert times == sorted(times)
    assert {row.action for row in STREAMS["market"].decode_many(made["market"])[0]} == {
        "created",
        "changed",
        "deleted",
        "trade",
    }


def test_the_rules_for_symbols_differ():
    assert len(set(per_symbol(100))) == 100
    assert len({kind.name for kind in KINDS}) == len(KINDS)


def test_runs_have_the_length_that_is_asked_for_and_each_completes_a_match():
    found = loops._Runs(1_000).of(9)
    assert [row.action for row in found] == (["new"] * 9 + ["cancel"]) * 100
    assert all(row.qty > 1.5 * 1.7 for row in found if row.action == "cancel")
    assert [row.ts for row in found] == list(range(1_000))


def test_a_case_that_takes_too_long_is_broken_off(monkeypatch):
    import m1cep

    monkeypatch.setattr(loops, "BUDGET_S", 0.0)
    rule = m1cep.compile_rule("SELECT account FROM orders", STREAMS, "r")
    done, _ = loops.cost(rule, loops._Runs(2_000).new)
    assert done == loops.SLICE


def test_flink_is_run_by_its_script_with_its_python(monkeypatch, tmp_path):
    from streams.bench import flink

    script = tmp_path / "flink.py"
    monkeypatch.setattr(flink, "SCRIPT", script)
    with pytest.raises(UsageError, match="there is no"):
        flink_figures("its-python", 1, print)
    row = '{"rule": os.environ["M1CEP_FLINK_PYTHON"], "flink_events_per_s": 5}'
    script.write_text(f'import json, os; print(json.dumps({{"flink": [{row}]}}))')
    assert flink_figures("its-python", 1, lambda _: None).events_per_s == {"its-python": 5}
    script.write_text("raise SystemExit('no java')")
    with pytest.raises(ShellError, match="no java"):
        flink_figures("its-python", 1, lambda _: None)
