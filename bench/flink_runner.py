"""Run jobs on a Flink inside this process' child, a Java machine; for the tests and for ``bench/flink.py``.

    python bench/flink_runner.py JOBS.json [--warm]

JOBS.json is a list of {"name", "statements"}; one JSON object a line comes out: {"name", "net_ms"} (the job's own running time,
as Flink tells it, without start and planning) or {"name", "error"}. Runs in any environment that has Flink's jars and py4j:
the extra ``flink``, or apache-flink itself. ``--warm`` runs every job once before.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from py4j.java_gateway import GatewayParameters, JavaGateway, launch_gateway

OPENED = ("java.lang", "java.util", "java.util.concurrent", "java.time", "java.net", "java.nio", "sun.nio.ch")
SETTING = re.compile(r"SET '([^']+)' = '([^']*)'")


def gateway(folder: str) -> JavaGateway:
    """A Java machine with Flink's jars. It ends with this process."""
    spec = importlib.util.find_spec("pyflink")
    assert spec is not None
    assert spec.submodule_search_locations
    jars = sorted(str(jar) for jar in Path(next(iter(spec.submodule_search_locations)), "lib").glob("*.jar"))
    logging = Path(folder) / "log4j.properties"
    logging.write_text("rootLogger.level = OFF\n")
    options = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPENED]
    options += ["-Xmx3g", f"-Dlog4j.configurationFile={logging}"]
    port, token = launch_gateway(
        classpath=":".join(jars), javaopts=options, die_on_exit=True, redirect_stderr=sys.stderr, enable_auth=True
    )
    return JavaGateway(gateway_parameters=GatewayParameters(port=port, auth_token=token))


def run(java: Any, statements: list[str]) -> int:
    """Milliseconds that the last statement, an INSERT, ran for, one task at a time."""
    table = java.org.apache.flink.table.api
    env = table.TableEnvironment.create(table.EnvironmentSettings.newInstance().inStreamingMode().build())
    env.getConfig().set("parallelism.default", "1")
    for statement in statements:
        setting = SETTING.fullmatch(statement)  # SET is the SQL client's, not SQL
        if setting is not None:
            env.getConfig().set(setting[1], setting[2])
            continue
        result = env.executeSql(statement)
    getattr(result, "await")()
    return int(result.getJobClient().get().getJobExecutionResult().get().getNetRuntime())


def causes(error: Any) -> str:
    """What Java said, from the outermost error to the first cause."""
    found = []
    while error is not None:
        found.append(f"{error.getClass().getSimpleName()}: {error.getMessage()}")
        error = error.getCause()
    return "\n".join(found)


def main() -> None:
    """Run the jobs of a file."""
    jobs = json.loads(Path(sys.argv[1]).read_text())
    with tempfile.TemporaryDirectory() as folder:
        connection = gateway(folder)
        for name, statements in [(j["name"], j["statements"]) for j in jobs]:
            try:
                if "--warm" in sys.argv:
                    run(connection.jvm, statements)
                answer = {"name": name, "net_ms": run(connection.jvm, statements)}
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller is told
                answer = {"name": name, "error": causes(getattr(error, "java_exception", None)) or repr(error)}
            print(json.dumps(answer), flush=True)
        connection.shutdown()


if __name__ == "__main__":
    main()
