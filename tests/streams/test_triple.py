"""Dubbo's Triple protocol is gRPC's on the wire: a Dubbo client calls the pre-trade check as it is."""

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
from collections import Counter

import pytest
from pretradeworld import world

from streams.rpc.server import NAME, RiskServer
from streams.rpc.service import RiskService

# In a process of its own: its threads do not end.
CLIENT = """
import json, os, sys
import dubbo
from dubbo.configs import ReferenceConfig
from streams.rpc.client import order
from streams.rpc.v1 import risk_pb2

client = dubbo.Client(ReferenceConfig.from_url(sys.argv[1]))
kinds = {"Check": risk_pb2.CheckResponse, "CheckBatch": risk_pb2.CheckBatchResponse}
check, batch = (
    client.unary(name, lambda message: message.SerializeToString(), kind.FromString) for name, kind in kinds.items()
)
one = lambda n, qty: order("ann", f"o{n}", "BTC-USD", "buy", qty)
answer = check(risk_pb2.CheckRequest(order=one(1, "1"))).decision
found = [[answer.order_id, answer.accepted, []]]
for answer in batch(risk_pb2.CheckBatchRequest(orders=[one(2, "1"), one(3, "9")])).decisions:
    found.append([answer.order_id, answer.accepted, [reason.rule_id for reason in answer.reasons]])
try:
    check(risk_pb2.CheckRequest(order=one(4, "none")))
except Exception as error:
    found.append(str(error))
print(json.dumps(found), flush=True)
os._exit(0)
"""


class Fresh:
    def fault(self, _now_ms):
        return None

    def age_ms(self, _now_ms):
        return 0


def test_a_dubbo_client_is_answered_as_any_other(tmp_path):
    if importlib.util.find_spec("dubbo") is None:
        pytest.skip("apache-dubbo is not installed: pip install apache-dubbo==3.0.0b1")

    async def serve_and_ask():
        _, checker = world(default={"order_qty": 2})
        server = RiskServer(RiskService(checker, Fresh(), lambda: None, Counter()), 0)
        await server.start()
        try:
            url = f"tri://127.0.0.1:{server.port}/{NAME}"
            env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
            return await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-c", CLIENT, url],
                env=env,
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        finally:
            await server.stop(0)

    done = asyncio.run(serve_and_ask())
    assert done.returncode == 0, done.stderr
    *decisions, error = json.loads(done.stdout.splitlines()[-1])
    assert decisions == [["o1", True, []], ["o2", True, []], ["o3", False, ["limit/order_qty"]]]
    assert "expected a decimal number" in error
