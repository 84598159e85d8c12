"""The page in a real browser, served by real relays on a real database."""

from __future__ import annotations

import json
import struct
from http.client import HTTPConnection
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.relay.events import connected, emit
from tests.support.chromium import Browser
from tests.support.kafka import Broker
from tests.support.processes import RelayProcess, StartRelay

ANYWHERE = "127.0.0.1:0"
DRAWN = "document.querySelectorAll('polyline.curve').length === 3"
KEY = "jane.doe@example.org"
HOSTILE = (
    '<img src="//evil.example/x.png" onerror="window.taken = 1"><script>window.taken = 2</script>'
)

# The least contrast of any text with what lies behind it, by the formula of WCAG 2.
CONTRAST = """(() => {
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const over = (top, below) => [0, 1, 2].map(n => top[n] * top[3] + below[n] * (1 - top[3]));
  const linear = v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = color => {
    const [r, g, b] = color.map(v => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = node => {
    if (!node) return [255, 255, 255];
    const own = parse(getComputedStyle(node).backgroundColor);
    return own.length === 3 ? own : over(own, behind(node.parentElement));
  };
  let least = [99, ""];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const text = walk.currentNode.data.trim(), node = walk.currentNode.parentElement;
    if (!text || !node.checkVisibility() || /SCRIPT/.test(node.tagName)) continue;
    const style = getComputedStyle(node);
    const of = light(parse(node.ownerSVGElement ? style.fill : style.color));
    const on = light(behind(node));
    const ratio = (Math.max(of, on) + 0.05) / (Math.min(of, on) + 0.05);
    if (ratio < least[0]) least = [ratio, text];
  }
  return least;
})()"""


def address_of(relay: RelayProcess) -> str:
    return f"127.0.0.1:{relay.wait_for_log('serving')['port']}"


def status_of(relay: RelayProcess) -> Any:
    connection = HTTPConnection(address_of(relay), timeout=10)
    connection.request("GET", "/status.json")
    return json.loads(connection.getresponse().read())


def hold(url: str, topic: str, key: str | None, reason: str, events: int) -> None:
    """What a leader has parked, without a broker that refuses it."""
    with connected(url) as connection:
        connection.execute(
            "insert into outbox.hold (topic, key, event_id, reason, taken)"
            " values (%s, %s, gen_random_uuid(), %s, true)",
            (topic, key, reason),
        )
        connection.execute(
            "insert into outbox.parked (position, id, topic, key, reason, type, content_type,"
            " headers, created_at) select -n, gen_random_uuid(), %s, %s, %s, 't', 'c', '{}', now()"
            " from generate_series(1, %s) n",
            (topic, key, reason, events),
        )


@pytest.fixture
def leader(relay_process: StartRelay, database_url: str, mock_broker: Broker) -> RelayProcess:
    servers = mock_broker.bootstrap_servers
    relay = relay_process(database_url, servers, RELAY_HTTP=ANYWHERE)
    relay.wait_for_log("leading")
    return relay


@pytest.fixture
def standby(
    leader: RelayProcess, relay_process: StartRelay, database_url: str, mock_broker: Broker
) -> RelayProcess:
    servers = mock_broker.bootstrap_servers
    relay = relay_process(database_url, servers, RELAY_HTTP=ANYWHERE)
    relay.wait_for_log("standby")
    return relay


def test_the_leader_and_the_standby_show_each_other(
    browser: Browser, leader: RelayProcess, standby: RelayProcess
) -> None:
    for shows in (leader, standby):
        browser.open(f"http://{address_of(shows)}/")
        browser.wait_for("document.querySelectorAll('.relay').length === 2")
        leads, stands_by = browser.value(
            "[...document.querySelectorAll('.relay')].map(n => n.innerText)"
        )
        assert ("leads" in leads, f"process {leader.pid}" in leads) == (True, True)
        assert ("stands by" in stands_by, f"process {standby.pid}" in stands_by) == (True, True)
        mine = leads if shows is leader else stands_by
        assert "shows this page" in mine


def test_the_standby_draws_the_same_curves_as_the_leader(
    browser: Browser,
    leader: RelayProcess,
    standby: RelayProcess,
    database_url: str,
    mock_broker: Broker,
) -> None:
    mock_broker.create_topic("drawn")
    browser.open(f"http://{address_of(standby)}/")
    browser.wait_for("document.querySelector('.relay')")
    emit(database_url, "drawn", count=500)
    browser.wait_for(DRAWN)
    browser.wait_for("document.body.innerText.match(/highest [1-9][0-9.]* events.s/)")
    points = browser.value("document.querySelector('polyline.curve').getAttribute('points')")
    assert len(points.split()) >= 2
    rates = [point[1] for point in status_of(standby)["outboxes"][0]["points"]]
    assert max(rate for rate in rates if rate is not None) * 5 >= 400


def test_it_tells_what_is_parked_why_and_what_waits_behind_it_but_not_the_key(
    browser: Browser, leader: RelayProcess, database_url: str
) -> None:
    hold(database_url, "invoices", KEY, "150,311 bytes, of which 100,000 are taken", 12)
    browser.open(f"http://{address_of(leader)}/")
    line = browser.wait_for("document.querySelector('.wait')?.innerText")
    for told in ("invoices", "one key", "150,311 bytes", "parked for", "11 behind it"):
        assert told in line
    assert "jane" not in browser.value("document.documentElement.outerHTML")
    assert "jane" not in json.dumps(status_of(leader))


def test_what_looks_like_html_is_text_and_nothing_is_fetched_for_it(
    browser: Browser, leader: RelayProcess, database_url: str
) -> None:
    hold(database_url, HOSTILE, None, HOSTILE, 2)
    address = address_of(leader)
    browser.open(f"http://{address}/")
    browser.wait_for("document.querySelector('.wait')")
    assert browser.value("document.querySelector('.wait b').textContent") == HOSTILE
    assert HOSTILE in browser.text()
    assert browser.value("document.querySelectorAll('img, main script').length") == 0
    assert browser.value("window.taken") is None
    assert {one.split("/")[2] for one in browser.requested} == {address}


def test_even_what_became_html_would_run_and_fetch_nothing(
    browser: Browser, leader: RelayProcess
) -> None:
    """The second wall, with the first one taken down: the policy."""
    browser.open(f"http://{address_of(leader)}/")
    browser.wait_for("document.querySelector('.relay')")
    browser.value(f"document.body.insertAdjacentHTML('beforeend', {json.dumps(HOSTILE)})")
    browser.wait_for("document.querySelector('img').complete")
    browser.wait_for("true")
    assert browser.value("window.taken") is None
    assert any("Content Security Policy" in one for one in browser.complaints)


def test_the_page_asks_for_itself_and_the_status_and_complains_of_nothing(
    browser: Browser, leader: RelayProcess
) -> None:
    address = address_of(leader)
    browser.open(f"http://{address}/")
    browser.wait_for("document.querySelectorAll('polyline.curve').length === 3")
    asked = {one for one in browser.requested if not one.startswith("data:")}
    assert asked == {f"http://{address}/", f"http://{address}/status.json"}
    assert browser.complaints == []


def test_a_relay_that_does_not_answer_any_more_is_told_of_at_the_top(
    browser: Browser, leader: RelayProcess
) -> None:
    browser.open(f"http://{address_of(leader)}/")
    browser.wait_for("document.querySelector('.relay')")
    assert browser.value("document.getElementById('lost').hidden")
    leader.kill()
    browser.wait_for("!document.getElementById('lost').hidden")
    assert "does not answer since" in browser.text()
    assert f"process {leader.pid}" in browser.text(), "what was known is gone"


def test_it_fits_and_can_be_read_by_day_and_by_night_at_a_desk_and_on_a_phone(
    browser: Browser, leader: RelayProcess, database_url: str, tmp_path: Path
) -> None:
    hold(database_url, "t" * 200, KEY, "why" * 150, 3)
    browser.open(f"http://{address_of(leader)}/")
    browser.wait_for(DRAWN)
    browser.wait_for("document.querySelector('.wait')")
    for width, dark in product((360, 1160), (False, True)):
        browser.look_like(width, dark=dark)
        # The charts are drawn anew a moment after the window has its new size.
        browser.wait_for(f"document.documentElement.scrollWidth === {width}", timeout_s=5.0)
        least, of = browser.value(CONTRAST)
        assert least >= 4.5, f"{of!r} at {width} pixels, {'dark' if dark else 'light'}"
        png = browser.screenshot(tmp_path / "page.png")
        assert struct.unpack(">I", png[16:20]) == (width,)


def test_a_chart_is_read_by_keys_too(browser: Browser, leader: RelayProcess) -> None:
    browser.open(f"http://{address_of(leader)}/")
    browser.wait_for(DRAWN)
    browser.value("document.querySelectorAll('.chart')[2].focus()")
    browser.press("Home")
    said = browser.value("document.activeElement.getAttribute('aria-valuetext')")
    assert "at " in said
    assert said.endswith(": 0 events")
    assert browser.value("document.querySelectorAll('.hair').length") == 1


def test_the_charts_are_there_as_a_table(browser: Browser, leader: RelayProcess) -> None:
    browser.open(f"http://{address_of(leader)}/")
    browser.wait_for("document.querySelectorAll('details tbody tr').length >= 1")
    cells = browser.value(
        "[...document.querySelectorAll('details tbody tr')[0].cells].map(c => c.textContent)"
    )
    assert (len(cells), cells[1]) == (4, "0 s")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/", "/status.json"])
def test_nothing_but_reading_is_answered(leader: RelayProcess, method: str, path: str) -> None:
    connection = HTTPConnection(address_of(leader), timeout=10)
    connection.request(method, path, body="{}")
    assert connection.getresponse().status in (405, 501)
