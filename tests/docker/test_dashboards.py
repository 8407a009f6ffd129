"""The expressions of Prometheus' rules and Grafana's dashboards: parsed, and compared with what a worker serves."""

import asyncio
import importlib.util
import json
import re
import urllib.request

import promql_parser
import pytest
import yaml
from composed import DOCKER, ROOT, agents, ours, secret_names, services
from prometheus_client.parser import text_string_to_metric_families

from streams.agents.stats import AgentStats
from streams.agents.vitals import Vitals
from streams.readiness import ReadyLimits
from streams.web.access import WebOptions
from streams.web.families import DISTRIBUTIONS, FAMILIES
from streams.web.metrics import metrics_routes
from streams.web.server import WebServer

ALERTS = yaml.safe_load((DOCKER / "prometheus" / "alerts.yml").read_text())["groups"][0]["rules"]
CONFIG = yaml.safe_load((DOCKER / "prometheus" / "prometheus.yml").read_text())
DASHBOARDS = sorted((DOCKER / "grafana" / "dashboards").glob("*.json"))
WRAPPERS = (
    promql_parser.AggregateExpr,
    promql_parser.ParenExpr,
    promql_parser.UnaryExpr,
    promql_parser.SubqueryExpr,
)
#: What Prometheus adds by itself, and by prometheus.yml.
ADDED = {"job", "instance", "worker"}


def expressions():
    for rule in ALERTS:
        yield f"alerts.yml {rule['alert']}", rule["expr"]
    for file in DASHBOARDS:
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel["targets"]:
                yield f"{file.name} {panel['title']}", target["expr"].replace("$__rate_interval", "1m")


EXPRESSIONS = list(expressions())


@pytest.fixture(scope="module")
def served():
    """Labels by metric: asked of a web server over HTTP, completed by the table where nothing has happened yet."""
    import streams.agents.librarian  # its gauges are prometheus-client's own
    import streams.database.replica  # noqa: F401

    async def scrape():
        vitals = Vitals("m1cep", {"risk": AgentStats()})
        vitals.broker_s = 0.0
        async with WebServer(WebOptions(port=0), metrics_routes(vitals, ReadyLimits())) as server:
            return await asyncio.to_thread(lambda: urllib.request.urlopen(f"{server.url}/metrics").read().decode())

    text = asyncio.run(scrape())
    labels = {"up": set()}
    for family in text_string_to_metric_families(text):
        names = [family.name]
        names = [f"{family.name}_total"] if family.type == "counter" else names
        names = (
            [f"{family.name}_{part}" for part in ("bucket", "sum", "count")] if family.type == "histogram" else names
        )
        for name in names:
            labels[name] = set()
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    for family in FAMILIES:
        labels[family.name + "_total" * (family.kind == "counter")].update(("agent", *family.labels))
    for family in DISTRIBUTIONS:
        labels[f"{family.name}_bucket"].update(("agent", "le"))
    cache = {"m1cep_cache_reads_total": {"result"}}  # served where there is a cache
    replica = {"m1cep_replica_lag_seconds": {"shard"}}
    return labels | cache | replica


def selectors(node):
    """Every metric that an expression names, with the labels that it asks for."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node.name, {matcher.name for matcher in node.matchers.matchers}
    elif isinstance(node, promql_parser.MatrixSelector):
        yield from selectors(node.vector_selector)
    elif isinstance(node, promql_parser.BinaryExpr):
        yield from selectors(node.lhs)
        yield from selectors(node.rhs)
    elif isinstance(node, promql_parser.Call):
        for argument in node.args:
            yield from selectors(argument)
    elif isinstance(node, WRAPPERS):
        yield from selectors(node.expr)


def grouped(node):
    """Every label that is grouped or matched by."""
    return {
        label
        for by in re.findall(r"\b(?:by|on|ignoring|without)\s*\(([^)]*)\)", str(node))
        for label in re.split(r"\s*,\s*", by.strip())
        if label
    }


@pytest.mark.parametrize(("where", "text"), EXPRESSIONS, ids=[where for where, _ in EXPRESSIONS])
def test_an_expression_asks_for_what_workers_serve(where, text, served):
    parsed = promql_parser.parse(text)
    asked = list(selectors(parsed))
    assert asked, where
    for name, labels in asked:
        assert name in served, f"{where}: no worker serves {name}"
        assert labels <= served[name] | ADDED, f"{where}: {name} has no such label"
    known = set().union(*(served[name] for name, _ in asked)) | ADDED
    assert grouped(parsed) <= known, where


def test_an_expression_that_is_none_is_found():
    with pytest.raises(ValueError, match="parenthesis"):
        promql_parser.parse("sum by (rule (m1cep_alerts_total)")
    assert list(selectors(promql_parser.parse("sum(rate(m1cep_alerts[1m])) or vector(0)"))) == [("m1cep_alerts", set())]


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_it_is_and_what_to_do(rule, served):
    assert rule["labels"]["severity"] in {"low", "medium", "high", "critical"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    page, anchor = rule["annotations"]["runbook_url"].split("#")
    headings = re.findall(r"^#+ (.*)$", (ROOT / page).read_text(), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert anchor in anchors, f"{page} has no section {anchor}"
    # A label that the text names must be left after the expression has added up.
    parsed = promql_parser.parse(rule["expr"])
    kept = (
        grouped(parsed) if "by (" in rule["expr"] else set().union(*(served[n] for n, _ in selectors(parsed))) | ADDED
    )
    named = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
    assert named <= kept


def test_the_dashboards_are_what_the_program_makes():
    spec = importlib.util.spec_from_file_location("dashboards", DOCKER / "grafana" / "dashboards.py")
    program = importlib.util.module_from_spec(spec)
    __import__("sys").modules["dashboards"] = program
    spec.loader.exec_module(program)
    assert {file.name: file.read_text() for file in DASHBOARDS} == program.texts(), "run docker/grafana/dashboards.py"


def test_legends_name_labels_that_are_left():
    for file in DASHBOARDS:
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel["targets"]:
                named = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
                left = grouped(promql_parser.parse(target["expr"].replace("$__rate_interval", "1m")))
                if "by (" in target["expr"]:
                    assert named <= left, panel["title"]
                else:
                    assert named <= ADDED, panel["title"]


def test_every_worker_is_asked():
    job = next(job for job in CONFIG["scrape_configs"] if job["job_name"] == "m1cep")
    asked = {target.rpartition(":")[0]: target.rpartition(":")[2] for target in job["static_configs"][0]["targets"]}
    workers = {name: service for name, service in ours().items() if agents(service)}
    assert asked == {name: service["environment"]["M1CEP_WEB_PORT"] for name, service in workers.items()}
    networks = set(services()["prometheus"]["networks"])
    for name, service in workers.items():
        assert networks & set(service["networks"]), f"Prometheus does not reach {name}"
        assert "web_tokens" in secret_names(service), name
    assert job["authorization"]["credentials_file"] in secret_names(services()["prometheus"]).values()


def test_servers_that_configurations_name_are_services():
    files = [*DOCKER.glob("*/*.yml"), *DOCKER.glob("grafana/provisioning/*/*.yaml"), DOCKER / "notify.toml"]
    for file in files:
        for host, port in re.findall(r"\b([a-z][\w-]*):(\d{2,5})\b", file.read_text()):
            assert host in services() or host == "localhost", f"{file.name}: {host}:{port}"
