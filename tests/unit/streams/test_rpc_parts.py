"""The parts of the pre-trade service: the file of limits, how fresh knowledge is, the generated code."""

import asyncio
import importlib.util
import runpy
from pathlib import Path

import pytest

from m1cep.pretrade.amounts import ONE, VALUE_DIGITS
from streams.agents import pretrade
from streams.agents.pretrade import keep_lease
from streams.agents.solo import Stand
from streams.config import Settings
from streams.errors import UsageError
from streams.files import packaged_rules_dir
from streams.rpc import desk
from streams.rpc.freshness import Freshness, Kind, Lease
from streams.rpc.limits import load_limits
from streams.rpc.service import now_ms
from streams.snapshots import FolderStore, StoreError, SupersededError

ROOT = Path(__file__).parents[3]


# -- limits


@pytest.fixture
def limits(tmp_path):
    def load(text):
        file = tmp_path / "limits.toml"
        file.write_text(text)
        return load_limits(file)

    return load


def test_numbers_count_exactly_as_they_are_written_in_any_of_their_forms(limits):
    _, rules = limits("[limits]\norder_value = 0.1\nprice_band = '0.1'\norder_qty = 1_000.25\n[rates]\nEUR = 1.085")
    assert rules.default.order_value == 10 ** (VALUE_DIGITS - 1)
    assert rules.default.price_band == ONE // 10
    assert rules.default.order_qty == 100_025 * ONE // 100
    assert rules.rates == {"EUR": 1_085_000}
    assert limits("[limits]\norder_value = '2_500'")[1].default.order_value == 2500 * 10**VALUE_DIGITS


def test_the_packaged_limits_are_in_order_and_have_a_version_of_their_contents(limits):
    text = (packaged_rules_dir() / "limits.toml").read_text()
    _, rules = load_limits()
    assert rules.default.margin
    assert limits(text)[1].version == rules.version
    assert limits(text + "\n")[1].version != rules.version
    commented = text.replace("# [acc", "[acc").replace("# account_ex", "account_ex").replace("# [sym", "[sym")
    commented = (
        commented.replace("# order_qty", "order_qty")
        .replace("# first", "first")
        .replace("# total", "total")
        .replace("# [lists]", "[lists]")
    )
    for name in ("refuse_accounts", "refuse_symbols", "allow_symbols", "when_away", "[parameters]", "order_value"):
        commented = commented.replace(f"# {name}", name)
    file, rules = limits(commented)  # its examples are in order as well
    assert (file.lists.when_away, rules.parameters) == ("unavailable", {"order_value": "max_notional"})
    assert rules.first_prices == {"BTC-USD": 64_000 * ONE}
    assert rules.symbols["BTC-USD"].total_exposure == 10**9 * 10**VALUE_DIGITS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[limits", "is not TOML"),
        ("[limits]\norder_valu = 1", "limits.order_valu: Extra inputs"),
        ("[limits]\norder_value = -1", "limits.order_value: Input should be greater"),
        ("[limits]\norder_value = 'lots'", "a number in it is none"),
        ("[limits]\norder_value = true", "limits.order_value"),
        ("[limits]\norder_value = nan", "limits.order_value"),
        ("[limits]\norder_value = 1e30", "limit order_value: expected a number"),
        ("[limits]\nopen_orders = 1.5", "limits.open_orders"),
        ("[limits]\nmargin = 1", "limits.margin"),
        ("[limits]\ntotal_exposure = 1", "limits.total_exposure: this is a limit of a symbol"),
        ("[accounts.ann]\ntotal_exposure = 1", "accounts.ann.total_exposure: this is a limit of a symbol"),
        ("[parameters]\norder = 'x'", "parameters.order: there is no such limit"),
        ("[rates]\nEUR = 0", "rates.EUR: expected a number above zero"),
        ("[rates]\nEUR = 1.0000001", "rates.EUR: expected a number above zero of at most 6 decimals"),
        ("[feed]\nmax_age_ms = 1", "feed.max_age_ms"),
        ("refuse_alerts = 'grave'", "refuse_alerts"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_the_place(limits, text, said):
    with pytest.raises(UsageError) as error:
        limits(text)
    assert said in str(error.value)
    assert "limits.toml" in str(error.value)


# -- freshness


class Feed:
    """Partitions 0 and 1, and a clock."""

    def __init__(self):
        self.fresh = Freshness(max_age_ms=1000, quiet_ms=500)

    def look(self, now_ms, *stands):
        self.fresh.look({n: Stand(*stand) for n, stand in enumerate(stands)}, now_ms)
        fault = self.fresh.fault(now_ms)
        return None if fault is None else fault.kind


def test_it_decides_once_everything_was_read_and_what_was_accepted_before_must_have_come():
    feed = Feed()
    assert feed.fresh.fault(0).kind is Kind.STALE  # nothing was looked at
    assert feed.look(0, (0, None, None), (5, 5, 1)) is Kind.STALE  # one was never heard
    assert feed.look(10, (0, 3, 1), (5, 5, 1)) is Kind.STALE
    assert feed.look(20, (3, 3, 2), (5, 5, 2)) is Kind.STALE
    assert feed.look(519, (3, 3, 3), (5, 5, 3)) is Kind.STALE
    assert feed.look(520, (3, 3, 4), (5, 5, 4)) is None


def test_behind_the_topics_it_is_stale_and_without_the_broker_it_is_down():
    feed = Feed()
    feed.look(0, (3, 3, 1), (5, 5, 1))
    assert feed.look(1000, (3, 3, 2), (5, 5, 2)) is None
    # The first goes on and is not keeping up.
    feed.look(1001, (3, 3, 3), (5, 5, 3))
    assert feed.fresh.age_ms(1001) == 1
    assert feed.look(2000, (4, 9, 4), (5, 5, 4)) is None
    assert feed.look(2001, (5, 20, 5), (5, 5, 5)) is Kind.STALE
    assert feed.fresh.age_ms(2001) == 1001
    feed.look(2100, (20, 20, 5), (5, 5, 5))
    assert feed.look(2100, (20, 20, 6), (5, 5, 6)) is None
    # Nobody answers any more.
    assert feed.look(3100, (20, 20, 6), (5, 5, 6)) is None
    assert feed.look(3101, (20, 20, 6), (5, 5, 6)) is Kind.DOWN
    # It answers for one partition alone: nobody knows about the other.
    assert feed.look(3200, (20, 20, 7), (5, 5, 6)) is Kind.DOWN
    assert feed.look(3300, (20, 20, 8), (5, 5, 7)) is None


def test_what_is_read_is_known_as_of_the_partition_that_was_heard_longest_ago():
    feed = Feed()
    feed.look(0, (3, 3, 1), (5, 5, 1))
    feed.look(600, (3, 3, 2), (5, 5, 1))
    assert feed.fresh.read_until_ms == 0
    feed.look(700, (3, 3, 2), (5, 5, 2))
    feed.look(800, (3, 3, 3), (5, 5, 3))
    assert feed.fresh.read_until_ms == 700


def test_what_the_broker_said_before_we_stood_still_is_old():
    feed = Feed()
    feed.look(0, (3, 3, 1), (5, 5, 1))
    assert feed.look(1000, (3, 3, 2), (5, 5, 2)) is None
    # Ten seconds pass for others; the answers lay in our socket meanwhile.
    assert feed.look(11_000, (3, 3, 3), (5, 5, 3)) is Kind.DOWN
    assert feed.look(11_050, (3, 3, 4), (5, 5, 4)) is None
    assert feed.fresh.age_ms(11_050) == 50


def test_who_was_superseded_does_not_decide_for_longer_than_a_moment(tmp_path):
    former, owner = FolderStore(tmp_path), FolderStore(tmp_path)
    lease = Lease(max_age_ms=2_000)
    assert lease.fault(0).kind is Kind.STALE
    generation, since_ms = former.claim(0), now_ms()

    async def confirm():
        former.check(0, generation)
        if lease.fault(now_ms()) is None:  # it was confirmed once, and may decide
            owner.claim(0)
        return True

    with pytest.raises(SupersededError):
        asyncio.run(asyncio.wait_for(keep_lease(confirm, lease), 60))
    assert lease.fault(since_ms) is None
    assert lease.fault(now_ms() + 2_001).kind is Kind.DOWN


def test_while_nobody_says_whether_it_was_superseded_it_does_not_decide(monkeypatch):
    monkeypatch.setattr(pretrade, "_CONFIRM_EVERY_S", 0.001)
    lease, asked = Lease(max_age_ms=50), []

    async def confirm():
        asked.append(lease.fault(now_ms()))
        if len(asked) > 3 and asked[-1] and asked[-1].kind is Kind.DOWN:
            raise SupersededError("the end of the test")
        if len(asked) == 1:
            return True
        raise StoreError("away")

    with pytest.raises(SupersededError):
        asyncio.run(asyncio.wait_for(keep_lease(confirm, lease), 60))
    assert asked[1] is None


# -- generated code


def test_the_generated_code_is_of_the_protocol_as_it_is(tmp_path):
    if importlib.util.find_spec("grpc_tools") is None:
        pytest.skip("grpcio-tools is not installed")
    runpy.run_path(str(ROOT / "proto" / "generate.py"))["generate"](tmp_path)
    made = {file.name: file.read_text() for file in tmp_path.iterdir()}
    kept = {f.name: f.read_text() for f in (ROOT / "streams" / "rpc" / "v1").glob("risk_*.py*")}
    assert made == kept, "make it anew: python proto/generate.py"


@pytest.mark.parametrize("given", [("", "alert", "ann"), ("bob", "", "ann"), ("bob", " ", "ann"), ("bob", "alert", "")])
def test_a_lift_of_nothing_is_a_mistake_and_not_a_success(given):
    with pytest.raises(UsageError, match=r"expected .*, got"):
        desk.lift(Settings(broker="127.0.0.1:1"), *given)
