"""Options of the whole suite."""

import os

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


#: Files that take minutes, most of it waiting for processes: begun first, so that none is left for the end.
LONGEST = (
    "test_grid_agents",
    "test_demo",
    "test_venue_agent",
    "test_custody_agents",
    "test_worker",
    "test_soak",
    "test_simulator",
)


def pytest_collection_modifyitems(items):
    def rank(item):
        name = item.path.stem
        slow = item.path.parent.name in ("streams", "faults")
        return LONGEST.index(name) if name in LONGEST else len(LONGEST) if slow else len(LONGEST) + 1

    items.sort(key=rank)


@pytest.fixture(scope="session")
def nursery():
    """Forks ``m1cep`` processes; imported when the first is asked for."""
    found = Nursery()
    yield found
    found.close()
