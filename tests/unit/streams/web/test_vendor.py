"""What is vendored is what was published, with its licence; all of the page is in the wheel; modules stay small."""

import hashlib
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
STATIC = ROOT / "streams" / "web" / "static"
VENDOR = STATIC / "vendor"
ATTRIBUTION = "https://www.tradingview.com/"


def noted():
    lines = (VENDOR / "VENDOR").read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines if not line.startswith("#"))}


def test_every_vendored_file_is_the_published_one():
    there = {
        str(file.relative_to(VENDOR)): hashlib.sha256(file.read_bytes()).hexdigest() for file in VENDOR.glob("*/*")
    }
    assert there == noted()
    assert {"uplot/LICENSE", "lightweight-charts/LICENSE", "lightweight-charts/NOTICE"} <= set(there)


def test_the_chart_names_its_maker():
    assert ATTRIBUTION in (STATIC / "js" / "price-chart.js").read_text()


def test_no_module_builds_html_or_breaks_the_content_policy():
    for file in [*STATIC.glob("js/**/*.js"), STATIC / "index.html"]:
        text = file.read_text()
        found = re.findall(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|style=|<style|<script>", text
        )
        assert not found, (file.name, found)
        assert len(text.splitlines()) <= 300, file.name


def test_every_import_and_file_of_the_page_exists():
    for file in STATIC.glob("js/**/*.js"):
        for name in re.findall(
            r"""from "(\.[^"]+)"|import\("(/static/[^"]+)"\)|"(/static/vendor/[^"]+)\"""", file.read_text()
        ):
            path = next(filter(None, name))
            found = STATIC / path.removeprefix("/static/") if path.startswith("/") else file.parent / path
            assert found.is_file(), (file.name, path)
    for path in re.findall(r'(?:href|src)="/static/([^"]+)"', (STATIC / "index.html").read_text()):
        assert (STATIC / path).is_file(), path


def test_the_wheel_has_all_of_the_page(tmp_path):
    pytest.importorskip("hatchling", reason="hatchling is not installed: group dev")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        inside = set(wheel.namelist())
    wanted = {f"streams/web/static/{file.relative_to(STATIC)}" for file in STATIC.rglob("*") if file.is_file()}
    assert wanted <= inside
