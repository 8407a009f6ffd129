"""One chain of each kind for all tests of a file; every test has a vault of its own."""

from __future__ import annotations

import chainworlds
import pytest

from streams.errors import PackageIndexError


@pytest.fixture(scope="session")
def safe_code(tmp_path_factory):
    from streams.chains.safe import safe_code

    try:
        return safe_code(tmp_path_factory.mktemp("safe"))
    except PackageIndexError as error:
        pytest.skip(f"the Safe's contracts cannot be had: {error}")


@pytest.fixture(scope="module", params=["bitcoin", "solana", "evm", "safe"])
def world(request):
    if request.param == "safe":
        made = chainworlds.safe(request.getfixturevalue("safe_code"))
    else:
        made = getattr(chainworlds, request.param)()
    yield made
    made.node.close()
    made.other.close()


@pytest.fixture(scope="module")
def bitcoin():
    made = chainworlds.bitcoin()
    yield made
    made.node.close()
    made.other.close()


@pytest.fixture(scope="module")
def solana():
    return chainworlds.solana()


@pytest.fixture(scope="module")
def evm():
    return chainworlds.evm()
