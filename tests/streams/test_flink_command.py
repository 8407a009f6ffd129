"""``m1cep rules flink``: a job on stdout, or what Flink cannot do on stderr."""

import json
import subprocess
import sys

from streams.files import packaged_rules_dir

RULES = packaged_rules_dir()


def flink(*arguments):
    command = [sys.executable, "-m", "streams.cli", "rules", "flink", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_a_job_for_kafka():
    code, out, err = flink(RULES / "market/price-band.sql", "--broker", "kafka:9092")
    assert (code, err) == (0, "")
    assert out.startswith("-- price-band: ")
    assert "'properties.bootstrap.servers' = 'kafka:9092'" in out
    assert out.rstrip().endswith(");")


def test_a_job_over_files():
    code, out, _ = flink(RULES / "market/price-band.sql", "--connector", "filesystem", "--path", "/data")
    assert code == 0
    assert "'path' = '/data/market.ndjson'" in out
    assert "'path' = '/data/alerts'" in out


def test_what_flink_cannot_do_is_listed_with_its_place():
    code, out, err = flink(RULES / "trading/layering.sql")
    assert (code, out) == (1, "")
    assert err.startswith("Flink cannot run layering, for 3 reasons:\n")
    assert "layering.sql:21:27: variable LAYER twice in PATTERN\n" in err
    assert "^^^^^" in err


def test_json():
    code, out, _ = flink(RULES / "trading/layering.sql", "--json")
    found = json.loads(out)
    assert (code, found["id"], found["sql"], found["statements"]) == (1, "layering", "", [])
    assert found["problems"][0] | {"hint": ""} == {
        "line": 21,
        "column": 27,
        "message": "variable LAYER twice in PATTERN",
        "hint": "",
    }
    code, out, _ = flink(RULES / "market/price-band.sql", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["problems"] == []
    assert all(statement + ";" in found["sql"] for statement in found["statements"])
    assert [n["line"] for n in found["notes"]] == sorted(n["line"] for n in found["notes"])


def test_a_wrong_rule_and_a_wrong_option(tmp_path):
    rule = tmp_path / "r.sql"
    rule.write_text("SELECT nothing FROM orders")
    code, _, err = flink(rule)
    assert code == 1
    assert "r.sql:1:8" in err
    assert flink(RULES / "market/price-band.sql", "--connector", "filesystem")[0] == 2
    assert flink(RULES / "market/price-band.sql", "--path", "/data")[0] == 2
