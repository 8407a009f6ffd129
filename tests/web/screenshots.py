"""The pictures of docs/images, taken of a demo that runs: ``python tests/web/screenshots.py`` (two minutes; needs Chromium).

With ``--url`` of a dashboard that runs already instead.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from web.browser import chromium, why_not

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
SIZE = {"width": 1440, "height": 900}
MOST_BYTES = 300_000
DEMO_S = 150
PATIENCE_S = 240
#: Picture, place, what must be drawn before it is taken, colours.
PICTURES = (
    ("grid", "#/grid", ".chart.price canvas", "dark"),
    ("alerts", "#/alerts/{alert}", ".timeline .dot", "dark"),
    ("overview", "#/overview", ".kpi", "dark"),
    ("custody", "#/custody/{request}", ".answer", "light"),
    ("rules", "#/rules/{rule}", ".sql-keyword", "light"),
)


def ask(url, path):
    with urllib.request.urlopen(url + path, timeout=10) as answer:
        return json.load(answer)


@contextmanager
def demo():
    """A demo of its own; gives where its dashboard is."""
    port = 18480
    command = [sys.executable, "-m", "streams.cli", "demo", "--seconds", str(DEMO_S), "--json"]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        env = os.environ | {"M1CEP_WEB_PORT": str(port), "M1CEP_HOME": home, "PYTHONPATH": str(ROOT)}
        running = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            running.terminate()
            running.wait(60)


def choose(url):
    """What is shown in detail: an alert, the request that an alert stopped, the rule that fired; waits until they are there."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            alerts = (
                ask(url, "/api/alerts?rule=layering")["alerts"] or ask(url, "/api/alerts?rule=wash-trade")["alerts"]
            )
            requests = ask(url, "/api/custody").get("requests") or []
            stopped = [one["id"] for one in requests if one["status"] == "rejected"]
            grids = ask(url, "/api/grids").get("grids") or []
            if alerts and len(stopped) > 1 and grids and len(grids[0]["fills"]) > 2 and len(grids[0]["orders"]) > 4:
                return {"alert": alerts[0]["alert"]["id"], "rule": "layering", "request": stopped[0]}
        except (OSError, ValueError):
            pass  # it is still starting
        time.sleep(2)
    sys.exit("the demo showed no alert, request and fills in time")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", help="of a dashboard that runs")
    url = parser.parse_args().url
    if reason := why_not():
        sys.exit(reason)
    if url:
        take(url)
        return
    with demo() as made:
        take(made)


def take(url):
    IMAGES.mkdir(exist_ok=True)
    places = choose(url)
    with chromium() as browser:
        for name, place, drawn, colours in PICTURES:
            context = browser.new_context(viewport=SIZE, color_scheme=colours, reduced_motion="reduce")
            page = context.new_page()
            page.goto(f"{url}/{place.format(**places)}", timeout=60_000)
            page.wait_for_selector(drawn, timeout=60_000)
            page.wait_for_selector("html[data-connection=live]", timeout=60_000)
            page.wait_for_timeout(1500)
            file = IMAGES / f"{name}.png"
            page.screenshot(path=file)
            context.close()
            size = file.stat().st_size
            print(f"{file.relative_to(ROOT)}: {size:,} bytes")
            assert size < MOST_BYTES, file


if __name__ == "__main__":
    main()
