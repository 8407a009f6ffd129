"""The page without a mouse, on a small screen, in both colours, for assistive technology."""

import pytest

from web.browser import PATIENCE_MS, chromium, shows, why_not
from web.pageserver import PageServer

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
ALERT = "#/alerts/0cc99810f1af3f36caaedf5043244a65"
#: A view, and what is there when it is drawn.
PLACES = {
    "#/alerts": ".list .row", ALERT: ".timeline .dot", "#/overview": ".kpi", "#/grid": ".books .kpi", "#/custody": ".list .row",
    "#/custody/demo-elsewhere": ".answer", "#/reserves": ".root", "#/rules": ".list .row", "#/rules/layering": ".sql-keyword",
}  # fmt: skip
GRAVE = {"serious", "critical"}


@pytest.fixture(scope="module")
def browser():
    with chromium() as one:
        yield one


@pytest.fixture(scope="module")
def server():
    with PageServer() as one:
        yield one


@pytest.fixture
def page(browser, server, request):
    options = getattr(request, "param", {})
    context = browser.new_context(
        viewport=options.get("viewport", WIDE), color_scheme=options.get("scheme", "dark"), reduced_motion="reduce"
    )
    context.set_default_timeout(PATIENCE_MS)
    one = context.new_page()
    one.goto(server.url)
    one.wait_for_selector("html[data-connection=live]")
    yield one
    context.close()


def visit(page, place):
    page.evaluate("place => { location.hash = place; }", place)
    page.wait_for_selector(PLACES[place])


def focused(page):
    return page.evaluate(
        "(document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent ?? '').trim()"
    )


def chosen(page):
    return page.get_attribute(".row[aria-selected=true]", "aria-label")


def judged(page, *rules):
    """What axe-core finds grave, in a line each; by all its rules, or by those."""
    from axe_playwright_python.sync_playwright import Axe

    options = {"resultTypes": ["violations"]} | ({"runOnly": list(rules)} if rules else {})
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{one['id']} ({one['impact']}): {one['help']}: {node['target']} {node.get('failureSummary', '')[:200]}"
        for one in found
        if one["impact"] in GRAVE
        for node in one["nodes"][:3]
    ]


@pytest.mark.parametrize(
    "page",
    [
        pytest.param({"scheme": "dark", "viewport": WIDE}, id="dark"),
        pytest.param({"scheme": "light", "viewport": NARROW}, id="light and narrow"),
    ],
    indirect=True,
)
def test_axe_finds_nothing_grave_and_nothing_is_wider_than_the_screen(page):
    found = {}
    for place in PLACES:
        visit(page, place)
        found[place] = judged(page)
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found[place].append("wider than the screen")
    page.click("#keys")
    found["keys"] = judged(page)
    assert {place: problems for place, problems in found.items() if problems} == {}


@pytest.mark.slow
@pytest.mark.parametrize("page", [{"scheme": "light"}], indirect=True)
def test_light_colours_can_be_told_apart_on_a_wide_screen(page):
    for place in PLACES:
        visit(page, place)
        assert judged(page, "color-contrast") == []


def test_axe_finds_nothing_grave_where_a_token_is_asked_for(browser):
    context = browser.new_context(viewport=NARROW)
    with PageServer("a token of somebody") as server:
        page = context.new_page()
        page.goto(server.url)
        page.wait_for_selector("#token")
        assert judged(page) == []
        context.close()


def test_tab_first_offers_to_skip_the_header_and_lists_are_one_stop(page):
    page.wait_for_selector(".list .row")
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the content"
    page.keyboard.press("Enter")
    assert focused(page) == "Alerts, newest first"
    first = chosen(page)
    page.keyboard.press("ArrowDown")
    another = "label => document.querySelector('.row[aria-selected=true]').getAttribute('aria-label') !== label"
    shows(page, another, first)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('.list')") is None


def test_alerts_by_keyboard(page):
    page.wait_for_selector(".list .row")
    for key in ("j", "j", "k", "j"):
        page.keyboard.press(key)
    page.wait_for_selector(".row[aria-selected=true]")
    picked = chosen(page)
    page.keyboard.press("Enter")
    page.wait_for_selector(".detail .timeline")
    assert page.inner_text(".detail h1") in picked
    page.keyboard.press("j")  # the next is chosen; Enter opens it in place of this one
    page.keyboard.press("Enter")
    page.wait_for_selector(".detail .timeline")
    page.keyboard.press("Escape")
    page.wait_for_selector(".detail", state="detached")
    assert focused(page) == "Alerts, newest first"
    page.keyboard.press("/")
    page.keyboard.type("wash")
    page.keyboard.press("Enter")
    assert focused(page) == "Alerts, newest first"
    assert "q=wash" in page.url
    page.wait_for_selector(".row:has-text('stuffing')", state="detached")
    assert page.query_selector(".row") is not None


def test_every_other_view_by_keyboard(page):
    for keys, place in (
        ("go", "#/overview"),
        ("gg", "#/grid"),
        ("gv", "#/reserves"),
        ("gc", "#/custody"),
        ("gr", "#/rules"),
    ):
        for key in keys:
            page.keyboard.press(key)
        page.wait_for_selector(f"nav a[aria-current=page][href='{place}']")
        page.wait_for_selector(PLACES[place])
        assert page.url.endswith(place)
    page.keyboard.press("j")  # in the rules
    page.keyboard.press("j")
    picked = chosen(page)
    page.keyboard.press("Enter")
    page.wait_for_selector(".detail .sql")
    assert page.inner_text(".detail h1") == picked.split(",")[0]
    page.keyboard.press("Escape")
    page.wait_for_selector(".side", state="hidden")
    for key in "gc":
        page.keyboard.press(key)
    page.wait_for_selector("nav a[aria-current=page][href='#/custody']")
    page.wait_for_selector(".row.request")
    for key in ("j", "Enter"):
        page.keyboard.press(key)
    page.wait_for_selector(".detail .answer")
    page.keyboard.press("g")
    page.keyboard.press("a")
    page.wait_for_selector(PLACES["#/alerts"])


def scrolled(page, place):
    """Wait until this part of the page is scrolled; gives whether that is to its end."""
    page.wait_for_selector(place)
    for _ in range(200):
        if page.evaluate("place => document.querySelector(place).scrollTop > 0", place):
            break
        page.wait_for_timeout(30)
    end = "(e => [e.scrollTop, e.scrollTop + e.clientHeight >= e.scrollHeight - 2])(document.querySelector(place))"
    top, is_end = page.evaluate(f"place => {end}", place)
    assert top > 0, f"{place} did not move"
    return is_end


@pytest.mark.parametrize("page", [{"viewport": {"width": 1280, "height": 500}}], indirect=True)
def test_what_is_below_the_edge_is_reached_by_keyboard(page):
    page.wait_for_selector(".list .row")
    for key in ("j", "Enter"):
        page.keyboard.press(key)
    page.wait_for_selector(".detail .timeline")
    page.keyboard.press("PageDown")
    assert not scrolled(page, ".side")
    page.keyboard.press("End")
    assert scrolled(page, ".side")
    page.keyboard.press("Escape")  # the list has the focus: its page keys are its own
    page.wait_for_selector(".side", state="hidden")
    page.keyboard.press("Enter")
    page.wait_for_selector(".detail .timeline")
    page.keyboard.press("d")
    scrolled(page, ".side")
    for key in "go":
        page.keyboard.press(key)
    page.wait_for_selector(".kpi")
    page.keyboard.press("Space")
    scrolled(page, "main")
    page.keyboard.press("Home")
    assert page.evaluate("document.querySelector('main').scrollTop") == 0


def test_the_keys_are_listed_and_can_be_turned_off(page):
    page.keyboard.press("?")
    page.wait_for_selector("dialog")
    said = page.inner_text("dialog")
    assert "Acknowledge the open alert" in said
    assert "Overview" in said
    page.uncheck("#keys-on")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    for key in ("g", "o", "t"):
        page.keyboard.press(key)
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.query_selector(".kpis") is None
    page.evaluate("localStorage.clear()")


def test_the_other_colours_are_kept(page):
    page.keyboard.press("t")
    page.reload()
    page.wait_for_selector(".list .row")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.evaluate("localStorage.clear()")


def test_nothing_moves_for_who_does_not_want_it(page):
    place = "document.getElementById('connection')"
    page.evaluate(f"{place}.dataset.state = 'waiting'")
    assert page.evaluate(f"getComputedStyle({place}, '::before').animationName") == "none"
