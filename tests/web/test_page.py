"""The page in a real browser: what a person at the screen would miss."""

import pytest

from web.browser import PATIENCE_MS, chromium, shows, why_not
from web.pageserver import PageServer
from web.sample_server import sample

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

ROWS = ".list .row"
WATCH_SHIFTS = """
  new PerformanceObserver((list) => {
    for (const one of list.getEntries()) globalThis.shift = (globalThis.shift ?? 0) + one.value;
  }).observe({ type: "layout-shift", buffered: false })
"""
UNDER_THE_EYE = """
  (() => {
    const place = document.querySelector(".list").getBoundingClientRect();
    return document.elementFromPoint(place.left + 200, place.top + 100).closest(".row").dataset.key;
  })()
"""
EVIL = "<img src=x onerror=globalThis.hurt=1><b>bold</b>"


@pytest.fixture(scope="module")
def browser():
    with chromium() as one:
        yield one


@pytest.fixture
def server():
    with PageServer() as one:
        yield one


@pytest.fixture
def look(browser):
    """A function that opens the page; afterwards nothing may have been said on the console but what a test expects."""
    contexts, said = [], []

    def open_page(url, *, width=1280, height=800, expected=(), **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        page.on(
            "console",
            lambda message: (
                said.append(message.text)
                if message.type in {"error", "warning"} and not any(one in message.text for one in expected)
                else None
            ),
        )
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not said


def live(page):
    page.wait_for_selector("html[data-connection=live]")
    return page


def ids(page):
    return page.eval_on_selector_all(ROWS, "rows => rows.map(row => row.dataset.key)")


def test_html_in_an_account_name_stays_text(server, look):
    page = live(look(server.url))
    name = server.alert(
        key={"account": EVIL, "symbol": "<i>X</i>"}, row={"account": EVIL, "owner": EVIL}, rule="wash-trade"
    )
    page.wait_for_selector(f"[data-key='{name}']")
    page.click(f"[data-key='{name}']")
    page.wait_for_selector(".detail .pairs-list")
    assert EVIL in page.inner_text(f"[data-key='{name}']")
    assert EVIL in page.inner_text(".detail")
    assert page.query_selector("main img, main b, main i:not([class])") is None
    assert page.evaluate("globalThis.hurt") is None


def test_a_server_that_went_away_and_came_back_leaves_no_gap_and_no_double(server, look):
    page = live(look(server.url, expected=["ERR_", "Failed to load"]))
    first = server.alert()
    page.wait_for_selector(f"[data-key='{first}']")
    server.go()
    shows(page, "document.getElementById('connection').textContent.startsWith('Stale since')")
    missed = [server.alert() for _ in range(5)]
    server.come()
    live(page)
    last = server.alert()
    page.wait_for_selector(f"[data-key='{last}']")
    shown = ids(page)
    assert shown[:7] == [last, *reversed(missed), first]
    assert len(set(shown)) == len(shown)
    assert page.inner_text("#connection") == "Live"


def test_what_comes_before_the_first_alert_was_heard_is_not_missed_either(server, look):
    page = live(look(f"{server.url}/#/overview", expected=["ERR_", "Failed to load"]))
    page.click("nav a:text('Alerts')")
    page.wait_for_selector(ROWS)
    server.go()
    missed = server.alert()
    server.come()
    page.wait_for_selector(f"[data-key='{missed}']")


def test_a_position_that_the_server_forgot_reads_everything_anew(server, look):
    page = live(look(server.url, expected=["ERR_", "Failed to load"]))
    server.go()
    del server.server.alerts[:20]  # another dashboard: it knows neither the position nor those alerts
    newest = server.alert()
    server.come()
    page.wait_for_selector(f"[data-key='{newest}']")
    assert len(ids(page)) == len(server.server.alerts)


def test_a_wrong_token_asks_again_and_is_kept_for_the_tab(look):
    with PageServer("the right token") as server:
        page = look(server.url, expected=["401", "ERR_"])
        field = page.wait_for_selector("#token")
        field.fill("a wrong one")
        field.press("Enter")
        page.wait_for_selector("#token-why[role=alert]")
        assert "does not know" in page.inner_text("#token-why")
        page.fill("#token", "the right token")
        page.keyboard.press("Enter")
        page.wait_for_selector(ROWS)
        live(page)
        page.reload()
        page.wait_for_selector(ROWS)
        assert page.query_selector("dialog") is None


def test_filters_are_kept_in_the_address_and_hold_for_new_alerts(server, look):
    page = live(look(server.url))
    page.wait_for_selector(ROWS)
    page.click(".switch:has-text('high')")
    shows(page, "[...document.querySelectorAll('.list .row')].every(row => row.classList.contains('high'))")
    page.select_option("[aria-label=Rule]", "wash-trade")
    page.fill(".filters .account", "syn-0287")
    shows(page, "location.hash.includes('account=syn-0287')")
    assert "severity=high" in page.url
    assert "rule=wash-trade" in page.url
    shows(page, "document.querySelectorAll('.list .row').length === 3")
    server.alert(key={"account": "somebody-else", "symbol": "ETH-USD"})
    mine = server.alert(key={"account": "syn-0287", "symbol": "ETH-USD"})
    page.wait_for_selector(f"[data-key='{mine}']")
    assert len(ids(page)) == 4
    page.reload()
    shows(page, "document.querySelectorAll('.list .row').length === 4")
    assert page.input_value(".filters .account") == "syn-0287"
    page.click("text=Clear")
    shows(page, "document.querySelectorAll('.list .row').length > 20")


def test_a_link_to_an_alert_far_down_shows_it_and_its_place_in_the_list(server, look):
    oldest = server.server.alerts[-1]["alert"]["id"]
    page = live(look(f"{server.url}/#/alerts/{oldest}", height=400))
    page.wait_for_selector(".detail .timeline")
    assert page.locator(f"[data-key='{oldest}']").get_attribute("aria-selected") == "true"
    page.wait_for_selector(f"[data-key='{oldest}']")
    shows(page, "document.querySelector('.list').scrollTop > 100")


def test_text_that_is_nowhere_says_what_to_do(server, look):
    page = live(look(server.url))
    page.keyboard.press("/")
    page.keyboard.type("nobody has this")
    page.wait_for_selector("text=No alert passes these filters")
    page.click("text=Clear the filters")
    page.wait_for_selector(ROWS)


def test_an_acknowledged_alert_says_so_here_and_in_other_windows(server, look):
    page, other = live(look(server.url)), live(look(server.url))
    name = server.alert()
    for each in (page, other):
        each.wait_for_selector(f"[data-key='{name}']")
    page.click(f"[data-key='{name}']")
    page.wait_for_selector(".acts button")
    page.keyboard.press("n")
    page.keyboard.type("asked <the> desk")
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    for each in (page, other):
        each.wait_for_selector(f"[data-key='{name}'].is-acknowledged")
    for words in ("by local", "asked <the> desk"):
        shows(page, "words => document.querySelector('.state-line').textContent.includes(words)", words)
    assert server.server.states[name]["note"] == "asked <the> desk"
    page.keyboard.press("c")
    other.wait_for_selector(f"[data-key='{name}'].is-closed")


def test_an_alert_leaves_the_list_of_open_ones_when_it_is_closed_and_the_next_is_chosen(server, look):
    page = live(look(f"{server.url}/#/alerts?state=open"))
    page.wait_for_selector(ROWS)
    gone = ids(page)[0]
    page.click(f"[data-key='{gone}']")
    page.wait_for_selector(".acts button")
    page.keyboard.press("c")
    page.wait_for_selector(f"[data-key='{gone}'].is-closed")
    page.keyboard.press("Escape")
    page.wait_for_selector(f"[data-key='{gone}']", state="detached")


def test_a_rule_in_quarantine_comes_first_with_its_reason_and_its_versions_are_compared(server, look):
    page = live(look(f"{server.url}/#/rules"))
    page.wait_for_selector(ROWS)
    rules = sample("rules")["rules"]
    bad = next(one for one in rules if one["id"] == "spoofing")
    before = {
        "version": "1.0",
        "by": "ann",
        "time_ms": 1777689660621,
        "mode": "active",
        "text": bad["sql"].replace("WITHIN", "SOON"),
    }
    bad |= {"mode": "quarantined", "reason": "division by <zero> in line 7", "before": [before]}
    next(one for one in rules if one["id"] == "dusting")["mode"] = "shadow"
    server.tell("rules", {"rules": rules})
    page.wait_for_selector("[data-key=spoofing] .chip:text('quarantined')")
    assert ids(page)[0] == "spoofing"
    assert "division by <zero>" in page.inner_text("[data-key=spoofing]")
    assert page.locator("[data-key=dusting] .chip:text('shadow')").bounding_box()["width"] > 30
    page.click("[data-key=dusting]")
    page.wait_for_selector(".detail .note >> text=m1cep topics tail m1cep.shadow-alerts.v1")
    page.click("[data-key=spoofing]")
    page.click(".versions button")
    changed = page.eval_on_selector_all(
        ".diff .line:not(.same)", "lines => lines.map(line => [line.className, line.textContent.trim()])"
    )
    assert {kind for kind, _ in changed} == {"line added", "line removed"}
    assert any("SOON" in text for _, text in changed)


def test_a_signer_that_waits_and_a_reason_that_names_an_alert_are_seen(server, look):
    page = live(look(f"{server.url}/#/custody"))
    page.wait_for_selector(ROWS)
    document = sample("custody")
    one = document["requests"][0]
    alert = server.server.alerts[0]["alert"]["id"]
    one |= {"status": "approving", "reason": "", "reasons": []}
    one["answers"][0] |= {"answer": None, "word": "wait", "reasons": ["needs 1 of officers"]}
    one["answers"][1] |= {"answer": "approve", "word": "accept", "reasons": []}
    one["answers"][2] |= {"reasons": [f"account x is under freeze_account because of alert {alert}"]}
    server.tell("custody", document)
    page.wait_for_selector(f"[data-key='{one['id']}'] .chip:text('approving')")
    page.click(f"[data-key='{one['id']}']")
    assert page.locator(".answer .chip:text('waits')").bounding_box()["width"] > 30
    assert page.get_attribute(".detail .progress", "aria-label") == "1 of 2 needed, 1 refused"
    page.click(".answer a")
    page.wait_for_selector(".detail .timeline")
    assert alert in page.url


def test_thousands_of_alerts_do_not_fill_the_page_nor_move_what_is_read(server, look):
    page = live(look(server.url))
    page.wait_for_selector(ROWS)
    page.evaluate(WATCH_SHIFTS)
    page.evaluate("document.querySelector('.list').scrollTop = 300")
    read = page.evaluate(UNDER_THE_EYE)
    for _ in range(3000):
        newest = server.alert()
    shows(page, "document.querySelector('.pill').textContent.startsWith('3,000 new')")
    assert page.evaluate(UNDER_THE_EYE) == read
    assert len(ids(page)) < 100
    assert page.evaluate("globalThis.shift ?? 0") < 0.01
    page.keyboard.press(".")
    page.wait_for_selector(f"[data-key='{newest}']")
    shows(page, "document.getElementById('polite').textContent.includes('new alert')")


THIN, MINUS, NONE = "\u2009", "\u2212", "\u2013"
WRITTEN = {
    "decimal('-1234567.8900')": f"{MINUS}1,234,567.89",
    "decimal('90071992547409931.000000000000000001')": "90,071,992,547,409,931.000000000000000001",
    "minus('0.1', '0.30')": "-0.20",
    "minus('90071992547409931', '1')": "90071992547409930",
    "rounded('-0.07665668266473')": f"{MINUS}0.0767",
    "rounded('0.00003456789')": "0.0000346",
    "rounded(0.1 + 0.2)": "0.3",
    "aligned(['78308', '1234.50'])": ["78,308.0", "1,234.5"],
    "fixed(78460.1, 2)": "78,460.10",
    "number(-0.0025)": f"{MINUS}0.0025",
    "percent(1.034)": f"103.4{THIN}%",
    "duration(0.4)": f"400{THIN}\u00b5s",
    "duration(12345)": f"12.3{THIN}s",
    "duration(7.2e6)": f"2{THIN}h",
    "number(0.000123456)": "0.0001235",
    "number(78384.5)": "78,384.5",
    "short(12345)": "12.3k",
    "count(null)": NONE,
    "measure('layered_usd', 487892.17)": ["layered", "$487,892.17"],
    "measure('span_us', 1500)": ["span", f"1.5{THIN}ms"],
    "measure('max_open', 3)": ["max open", "3"],
    "clock(epochMs(1777689660621000))": "02:41:00.621",
}


def test_numbers_and_times_are_written_as_people_read_them(server, look):
    page = look(server.url)
    calls = ", ".join(f"f.{call.replace('(epochMs', '(f.epochMs')}" for call in WRITTEN)
    said = page.evaluate(f"import('/static/js/format.js').then(f => [{calls}])")
    assert dict(zip(WRITTEN, said, strict=True)) == WRITTEN


def test_versions_of_a_rule_are_compared_line_by_line(server, look):
    page = look(server.url)
    said = page.evaluate("import('/static/js/sql.js').then(({ lineDiff }) => lineDiff('a\\nb\\nc', 'a\\nx\\nc\\nd'))")
    assert said == [["same", "a"], ["removed", "b"], ["added", "x"], ["same", "c"], ["added", "d"]]


def test_of_a_replay_the_time_is_shown_and_what_rules_are_behind_it(server, look):
    page = live(look(f"{server.url}/#/overview"))
    page.wait_for_selector(".legend >> text=behind the clock")
    document = server.server.overview
    length = len(document["history"]["t_s"])
    document["now"] |= {"watermark_lag_ms": None, "watermark_behind_ms": 420, "event_time_ms": 1_777_689_381_000}
    document["history"] |= {"watermark_lag_ms": [None] * length, "watermark_behind_ms": [420] * length}
    page.wait_for_selector(".kpi:has-text('Event time, UTC') >> text=02:36:21")
    page.wait_for_selector(".legend >> text=behind the newest event")
    assert not page.is_visible(".legend >> text=behind the clock")


def test_what_is_owed_is_shown_where_nobody_has_signed_for_what_is_held(server, look):
    page = live(look(f"{server.url}/#/reserves"))
    page.wait_for_selector(".root")
    assert page.is_visible("th:has-text('Held in reserve')")
    statement = sample("reserves")["statements"][0] | {"reserves": None, "reserves_problem": None}
    server.tell("reserves", {"statements": [statement]})
    page.wait_for_selector("text=what is held is not known")
    assert not page.is_visible("th:has-text('Held')")
    assert page.locator("tbody th[scope=row]").count() == len(statement["total"])


def test_a_rule_that_only_informs_can_be_chosen_and_takes_no_place_where_there_is_none(server, look):
    page = live(look(server.url))
    page.wait_for_selector(ROWS)
    assert not page.is_visible(".switch:has-text('info')")
    document = sample("rules")
    document["rules"][0]["severity"] = "info"
    server.tell("rules", document)
    page.click(".switch:has-text('info')")
    shows(page, "location.hash.includes('severity=info')")
    note = server.alert(severity="info")
    server.alert()
    page.wait_for_selector(f"[data-key='{note}']")
    assert ids(page) == [note]


RULES_LEGEND = ".panel:has(.chart[aria-label^=Alerts]) .legend"


def colours(page):
    """The colour of each rule in the overview's legend."""
    return page.evaluate(
        """(legend) => Object.fromEntries([...document.querySelectorAll(`${legend} > span:has(i)`)]
          .map((one) => [one.textContent.trim(), one.querySelector("i").style.background]))""",
        RULES_LEGEND,
    )


def test_a_rule_keeps_its_colour_when_another_gets_busier_and_says_how_often_it_fired_in_the_hour(server, look):
    count = server.server.overview["alerts_by_rule"]
    steps = len(count["t_s"])

    def of(*last):
        return [0] * (steps - 3) + [*last]

    count["rules"] = {"layering": of(2, 1, 0), "spoofing": of(0, 1, 0)}
    page = live(look(f"{server.url}/#/overview"))
    shows(page, f"document.querySelector('{RULES_LEGEND}').querySelectorAll('i').length === 2")
    before = colours(page)
    assert [name.split() for name in before] == [["layering", "3"], ["spoofing", "1"]]
    count["rules"] = {"layering": of(2, 1, 0), "spoofing": of(0, 1, 9), "wash-trade": of(5, 0, 0)}
    page.wait_for_selector(".legend >> text=wash-trade")
    after = colours(page)
    assert [name.split() for name in after] == [["spoofing", "10"], ["wash-trade", "5"], ["layering", "3"]]
    assert after["layering 3"] == before["layering 3"]
    assert after["spoofing 10"] == before["spoofing 1"]
    assert len(set(after.values())) == 3


def test_alerts_are_counted_at_whole_numbers(server, look):
    page = look(server.url)
    page.evaluate("""async () => {
      const { Plot } = await import("/static/js/plots.js");
      const { count } = await import("/static/js/format.js");
      const series = [{ name: "alerts", tone: "series-1", format: count }];
      globalThis.plot = new Plot({ label: "alerts", series, bars: true, step: 10 });
      document.body.append(globalThis.plot.element);
      globalThis.plot.set([[10, 20, 30], [1, 9, 2]]);
    }""")
    shows(page, "globalThis.plot.chart?.axes[1]._splits?.length > 0")
    marks = page.evaluate("globalThis.plot.chart.axes[1]._splits")
    assert all(mark == int(mark) for mark in marks), marks


def test_a_vaults_money_is_beside_its_name_and_its_address_is_whole(server, look):
    document = sample("custody")
    document["vaults"][0]["free"] = "1234567.50 BTC"
    page = live(look(f"{server.url}/#/custody", width=390, height=844))
    page.wait_for_selector(".vaults td")
    server.tell("custody", document)
    page.wait_for_selector(".vaults td:text('1,234,567.5 BTC')")
    box = page.locator(".vaults td:text('1,234,567.5 BTC')").bounding_box()
    assert box["x"] + box["width"] <= 390
    assert document["vaults"][0]["address"] in page.inner_text(".vaults")


def test_a_curve_begins_anew_where_its_clock_went_back(server, look):
    page = look(server.url)
    said = page.evaluate(
        "import('/static/js/views/grid.js').then(m => m.sinceRestart([[90, 95, 10, 11], [1, 2, 3, 4]]))"
    )
    assert said == [[10, 11], [3, 4]]


def test_a_stream_of_events_is_read_whatever_the_cuts(server, look):
    page = look(server.url)
    said = page.evaluate("""async () => {
      const { Parser } = await import('/static/js/sse.js');
      const text = ': hello\\n\\nid: 1@2.3\\ndata: {"a":\\ndata: 1}\\n\\n'
        + 'event: rules\\r\\ndata: x: y\\r\\n\\r\\ndata: unfinished';
      const all = [];
      for (let size = 1; size <= text.length; size += 1) {
        const heard = [];
        const parser = new Parser((event) => heard.push(event));
        for (let at = 0; at < text.length; at += size) parser.feed(text.slice(at, at + size));
        all.push(JSON.stringify(heard));
      }
      return [...new Set(all)].map(JSON.parse);
    }""")
    assert said == [
        [{"event": "message", "data": '{"a":\n1}', "id": "1@2.3"}, {"event": "rules", "data": "x: y", "id": None}]
    ]
