"""``/metrics``: what a worker counts, read when Prometheus asks; the hot path does not know of it."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from aiohttp import web
from prometheus_client import REGISTRY, CollectorRegistry, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from streams.readiness import ready
from streams.web.families import DISTRIBUTIONS, FAMILIES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from streams.agents.vitals import Vitals
    from streams.readiness import ReadyLimits
    from streams.web.families import Distribution, Family


class WorkerCollector(Collector):
    """Everything that is known of a worker.

    Args:
        vitals: of the worker.
        limits: of its readiness.
    """

    def __init__(self, vitals: Vitals, limits: ReadyLimits) -> None:
        self._vitals, self._limits = vitals, limits

    def collect(self) -> Iterator[Metric]:
        """Read the counters now."""
        yield from self._worker()
        for family in FAMILIES:
            yield self._family(family)
        for distribution in DISTRIBUTIONS:
            yield self._distribution(distribution)
        yield from self._cache()

    def _worker(self) -> Iterator[Metric]:
        vitals, checks = self._vitals, ready(self._vitals, self._limits)
        info = GaugeMetricFamily("m1cep_worker_info", "1; which worker this is.", labels=["group", "version"])
        info.add_metric([vitals.group, version("m1cep")], 1)
        yield info
        yield _gauge("m1cep_worker_ready", "1 while /readyz says yes.", all(check.ok for check in checks))
        found = GaugeMetricFamily("m1cep_worker_check", "1 for each condition of /readyz that holds.", labels=["check"])
        for check in checks:
            found.add_metric([check.name], check.ok)
        yield found
        delay_s = vitals.loop_delay_s()
        yield _gauge("m1cep_event_loop_delay_seconds", "The longest delay of the event loop in the last 10 s.", delay_s)
        silent_s = vitals.broker_silent_s()
        if silent_s is not None:
            yield _gauge("m1cep_broker_silent_seconds", "Since the broker answered last.", silent_s)

    def _family(self, family: Family) -> Metric:
        kind: Any = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
        found: Metric = kind(family.name, family.about, labels=["agent", *family.labels])
        for agent, stats in self._vitals.stats.items():
            for labels, value in family.of(stats):
                found.add_metric([agent, *labels], value)  # type: ignore[attr-defined]
        return found

    def _distribution(self, distribution: Distribution) -> Metric:
        found = HistogramMetricFamily(distribution.name, distribution.about, labels=["agent"])
        for agent, stats in self._vitals.stats.items():
            histogram = distribution.of(stats)
            found.add_metric([agent], histogram.buckets(), histogram.total)
        return found

    def _cache(self) -> Iterator[Metric]:
        """Of the local copies of lists and parameters, where there is a cache."""
        copies = self._vitals.copies
        if copies is None:
            return
        about = "Lists and parameters asked for in the cache: hit, or miss where only the folder has them."
        reads = CounterMetricFamily("m1cep_cache_reads", about, labels=["result"])
        reads.add_metric(["hit"], copies.hits)
        reads.add_metric(["miss"], copies.misses)
        yield reads
        told = "Changes that the cache has told of."
        yield CounterMetricFamily("m1cep_cache_invalidations", told, value=copies.invalidations)
        made = "Connections to the cache, each of which reads everything anew."
        yield CounterMetricFamily("m1cep_cache_connections", made, value=copies.connections)


def _gauge(name: str, about: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, about, value=float(value))


def metrics_routes(vitals: Vitals, limits: ReadyLimits) -> Iterator[web.AbstractRouteDef]:
    """``/metrics``: the worker's, and those that modules keep in prometheus-client's own registry."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # they would double every counter, and nothing here reads them
    registry = CollectorRegistry()
    registry.register(WorkerCollector(vitals, limits))

    async def metrics(_: web.Request) -> web.Response:
        body = generate_latest(registry) + generate_latest(REGISTRY)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    yield web.get("/metrics", metrics)
