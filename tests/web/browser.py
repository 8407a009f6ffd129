"""A headless Chromium, where the machine has one, driven by Playwright (which would otherwise download a browser: never here)."""

import shutil
import time
from contextlib import contextmanager

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--force-color-profile=srgb",
)  # fmt: skip
NAMES = ("chromium", "chromium-browser", "google-chrome")

PATIENCE_MS = 60_000


def why_not():
    """Why there can be no browser, or None."""
    try:
        import playwright  # noqa: F401
    except ImportError:
        return "the package playwright is not installed (group dev)"
    return None if path() else f"no {' or '.join(NAMES)} on this machine: apt-get install chromium"


def path():
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@contextmanager
def chromium():
    """A browser with a profile of its own that is gone afterwards."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path(), args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def shows(page, expression, argument=None):
    """Wait until a condition of the page holds. (Playwright's own waiting needs eval, which our content policy forbids.)"""
    until = time.monotonic() + PATIENCE_MS / 1000
    while not (said := page.evaluate(expression, argument)):
        assert time.monotonic() < until, f"{expression} is still {said}: {page.inner_text('main')[:200]}"
        page.wait_for_timeout(30)
