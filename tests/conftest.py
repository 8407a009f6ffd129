"""Options of the whole suite."""

import os
from pathlib import Path

import pytest
from hypothesis import settings
from nursery import Nursery

# The suite tries the same random cases on every run: what fails, fails again. M1CEP_RANDOM=1 looks for others, and so does
# asking for more of them (M1CEP_CASES, M1CEP_MUTANTS).
# Nothing is timed: a busy machine is no failure.
settings.register_profile("same", derandomize=True, database=None, deadline=None)
settings.register_profile("others", deadline=None)
others = any(os.environ.get(f"M1CEP_{name}") for name in ("RANDOM", "CASES", "MUTANTS"))
settings.load_profile("others" if others else "same")


def pytest_addoption(parser):
    parser.addoption(
        "--update-golden", action="store_true", help="write what rules do now into tests/golden, for review"
    )
    parser.addoption(
        "--broker",
        choices=("tansu", "kafka", "both"),
        default="tansu",
        help="what the stream tests run on: tansu, the embedded broker; kafka, Apache Kafka itself, for which Java 17 and Maven "
        "are needed: then of tests/streams only those that use a broker are run; both: those twice",
    )


#: Files that take more than half a minute, quick or slow part, the longest first, so that none of them is left for the end.
LONGEST = (
    "streams/test_demo",
    "streams/test_kafka_security",
    "faults/test_custody",
    "faults/test_kills",
    "streams/test_venue_agent",
    "streams/test_rekey",
    "streams/test_worker",
    "streams/test_tutorial",
    "streams/test_rules_live",
    "streams/test_worker_ends",
    "streams/test_grid_agents",
    "streams/test_soak",
    "faults/test_resources",
    "faults/test_simulator",
    "streams/test_topics",
    "streams/test_producer",
    "streams/test_worker_flow",
    "streams/test_custody_agents",
    "streams/test_pretrade_agent",
    "streams/test_ledger_agent",
    "docker/test_kafka",
    "faults/test_group",
    "faults/test_mutations",
    "unit/test_run",
    "unit/streams/test_bench",
    "web/test_page_access",
    "web/test_page",
    "unit/streams/test_command_surface",
    "property/test_custody_parsers",
    "property/test_expressions",
    "unit/streams/test_custody_ceremonies",
    "property/test_fuzz_rules",
)
_WAITING = ("streams", "faults", "docker")


def pytest_collection_modifyitems(items):
    """Files that mostly wait and files that mostly compute in turn, for those who run side by side (see run.py)."""
    names = {item.path: item.path.relative_to(Path(__file__).parent).with_suffix("").as_posix() for item in items}

    def length(name):
        return LONGEST.index(name) if name in LONGEST else len(LONGEST)

    ordered = sorted(names.values(), key=length)
    waiting = [name for name in ordered if name.split("/")[0] in _WAITING]
    computing = [name for name in ordered if name.split("/")[0] not in _WAITING]
    turn = {name: (at / len(group), name) for group in (waiting, computing) for at, name in enumerate(group)}
    items.sort(key=lambda item: turn[names[item.path]])


@pytest.fixture(scope="session")
def nursery():
    """Forks ``m1cep`` processes; imported when the first is asked for."""
    found = Nursery()
    yield found
    found.close()
