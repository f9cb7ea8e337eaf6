"""The page of a running guard: what it shows, that it moves and reads well, and that it trusts nobody."""

from __future__ import annotations

import json
import math
import os
import re
import time
from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import CHROMIUM, Page, a_page
from core_builders import loan
from e2e_world import CALM, NEEDY, ORDER, USER, World
from http_world import TOKEN, Served, Shop, open_shop, served
from watch_targets import a_box

from ltv_guard.adapters.journal import open_journal
from ltv_guard.core.model.loans import LoanKey, Owner, Product
from ltv_guard.core.model.samples import ChartSample
from ltv_guard.core.model.status import AccountStatus, AlertStatus, LoanStatus
from ltv_guard.core.model.withheld import Why, Withheld

if TYPE_CHECKING:
    from conftest import OpenWorld

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(1)>\x1b[2J\u202e'
D = Decimal


def shown(ltv: str = "0.60", reason: str = "LTV 0.6 is within bounds") -> LoanStatus:
    return LoanStatus(
        loan=loan(ltv),
        trigger_ltv=D("0.75"),
        target_ltv=D("0.65"),
        fall_to_trigger=D("0.2"),
        fall_to_margin_call=D("0.31"),
        fall_to_liquidation=D("0.3684"),
        doing="in_bounds",
        tell_reason=lambda: reason,
    )


def account(*loans: LoanStatus, **changes: object) -> AccountStatus:
    given = {"outcome": "ok", "withheld": None, "unsighted_s": 1.0, "trouble": None, "loans": loans}
    return AccountStatus(name="main", **{**given, **changes})  # type: ignore[arg-type]


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


async def page_of(shop: Shop) -> str:
    async with open_shop(shop) as asked:
        status, text = await asked.get("/")
        assert status == 200
        return text


async def test_it_shows_each_loan_against_its_lines_and_how_far_prices_may_fall() -> None:
    text = await page_of(Shop(accounts=(account(shown()),)))

    assert "Nothing is wrong." in text
    for said in ("order 1001", "LTV 0.60", "trigger 0.75", "margin call 0.87", "liquidation 0.95"):
        assert said in text
    assert "20.0% to the trigger, 31.0% to the margin call, 36.8% to liquidation" in text
    assert [tag for tag, given in Tags(text).seen if given.get("class") == "calm"] == ["rect", "circle"]
    assert "Nearest to liquidation: <b>order 1001 of main</b>, LTV <b>0.60</b>" in text


@pytest.mark.parametrize(
    ("ltv", "colour"), [("0.60", "calm"), ("0.75", "near"), ("0.87", "bad"), ("2", "bad")]
)
async def test_the_colour_of_a_bar_says_what_the_ltv_means(ltv: str, colour: str) -> None:
    text = await page_of(Shop(accounts=(account(shown(ltv)),)))

    bars = [given for tag, given in Tags(text).seen if tag == "rect" and given["class"] != "track"]
    assert [given["class"] for given in bars] == [colour]
    assert float(str(bars[0]["width"]).rstrip("%")) <= 100


async def test_it_says_what_is_wrong_and_what_to_do() -> None:
    alert = AlertStatus(
        event="breach_unanswered", since_ms=0, account="main", details={"why": "paused: a look"}
    )
    paused = account(withheld=Withheld(kind=Why.PAUSED, detail="a look"))
    text = await page_of(Shop(accounts=(paused,), alerts=(alert,), troubles={"journal": "it can't be used"}))

    assert "Nothing is wrong." not in text
    for said in (
        "breach_unanswered",
        "paused: a look",
        "What to do:",
        "docs/operations.md#",
        "it can&#x27;t be used",
        "Nothing is sent",
    ):
        assert said in text


async def test_it_says_what_the_wallet_survives_and_what_is_missing() -> None:
    """1 BTC at LTV 0.60, trigger 0.75, target 0.65: a fall of 50 % asks for 0.60 / 0.5 / 0.65 - 1 BTC."""
    text = await page_of(Shop(accounts=(account(shown(), wallet={"BTC": D("0.5")}),)))

    needed = D("0.60") / D("0.5") / D("0.65") - 1
    assert f"{(needed - D('0.5')).quantize(D('0.0001'))} BTC more are needed" in text
    assert "survives a fall of <b>38%</b>" in text


async def test_an_amount_that_no_loan_can_have_costs_nobody_the_page() -> None:
    absurd = replace(shown(), loan=loan("0.60", held="9e29"))
    shop = Shop(accounts=(account(shown(), absurd, wallet={"BTC": D("1e-40"), "ETH": D("9e29")}),))
    async with open_shop(shop) as asked:
        for path in ("/", "/metrics", "/api/v1/status"):
            assert (await asked.get(path))[0] == 200


async def test_what_others_wrote_is_no_more_than_text_in_it() -> None:
    hostile = account(
        shown(reason=EVIL),
        withheld=Withheld(kind=Why.PAUSED, detail=EVIL),
        set_aside=((EVIL, EVIL, EVIL),),
        wallet={EVIL: D(1)},
    )
    alert = AlertStatus(event=EVIL, since_ms=0, account=EVIL, loan_id=EVIL, details={EVIL: EVIL})
    text = await page_of(Shop(accounts=(hostile,), alerts=(alert,), troubles={EVIL: EVIL}))

    tags = Tags(text).seen
    assert [tag for tag, _ in tags].count("script") == 1
    assert "img" not in {tag for tag, _ in tags}
    assert not {"onerror", "onload", "style"} & {name for _, given in tags for name in given}
    assert not {"\x1b", "\u202e"} & {*text}


async def test_nothing_in_it_comes_from_elsewhere_and_its_policy_lets_nothing_in() -> None:
    async with open_shop(Shop(accounts=(account(shown()),))) as asked, asked.session.get(asked.url) as answer:
        text, policy = await answer.text(), answer.headers["Content-Security-Policy"]

    assert not re.findall(r"(?:src|href)=|https?://", text)
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy


async def test_without_a_token_there_is_no_switch_and_with_one_a_form_needs_it() -> None:
    shop = Shop(token=None)
    async with open_shop(shop) as asked:
        assert "<form" not in (await asked.get("/"))[1]
        assert (await submitted(asked, {"token": TOKEN, "reason": "x"}))[0] == 403
    shop = Shop()
    async with open_shop(shop) as asked:
        assert "<form" in (await asked.get("/"))[1]
        assert (await submitted(asked, {"token": "wrong", "reason": "x"}))[0] == 401
        assert (await submitted(asked, {"reason": "x"}))[0] == 401
        assert shop.changed == [], "a wrong token must never change anything"
        assert await submitted(asked, {"token": TOKEN, "reason": "x"}) == (303, "/")
    assert shop.changed == [("pause", "all", "x")]


async def submitted(asked: Served, form: dict[str, str]) -> tuple[int, str | None]:
    """A pause, as a browser without a script asks for it."""
    url = f"{asked.url}/api/v1/pause"
    async with asked.session.post(url, data=form, allow_redirects=False) as answer:
        return answer.status, answer.headers.get("Location")


async def test_of_thousands_of_loans_the_nearest_are_shown() -> None:
    text = await page_of(Shop(accounts=(account(*[shown()] * 5000),)))

    assert text.count('class="track"') == 50
    assert "4950 more" in text


NOW = 1_790_000_000_000
MINUTE = 60_000


def sample(minutes_ago: int, ltv: str, price: str = "50000") -> ChartSample:
    return ChartSample(
        at_ms=NOW - minutes_ago * MINUTE, ltvs={loan().key: D(ltv)}, prices={"BTC": D(price), "DOGE": D(1)}
    )


def curves(text: str, number: int = 0) -> list[list[tuple[float, float]]]:
    """Of the chart of that number: each unbroken part of its curve."""
    drawn = text.split('class="chart"')[number + 1].split("</svg>", maxsplit=1)[0]
    found = [str(given["points"]) for tag, given in Tags(drawn).seen if tag == "polyline"]
    return [[(float(x), float(y)) for x, y in (at.split(",") for at in part.split())] for part in found]


async def test_a_day_is_a_curve_from_left_to_right_and_the_worst_of_each_five_minutes_is_in_it() -> None:
    held = (
        sample(1441, "0.9"),
        *(sample(ago, "0.55") for ago in range(600, 580, -1)),
        sample(579, "0.86"),
        *(sample(ago, "0.55") for ago in range(578, 560, -1)),
    )
    text = await page_of(Shop(at_ms=NOW, accounts=(account(shown()),), samples={"main": held}))

    first, last = curves(text)  # broken where nobody looked
    assert first[0][0] == pytest.approx(1000 * (1440 - 600) / 1440, abs=5)
    assert last == [(1000.0, last[0][1])]
    assert 8 <= len(first) <= 10
    worst = min(y for _, y in first)
    assert [y for _, y in first].count(worst) == 1
    assert worst < last[0][1] < max(y for _, y in first)
    assert "LTV of the last 24 hours: 0.55 to 0.86, now 0.60" in text


async def test_prices_of_its_coins_are_shown_with_their_change() -> None:
    held = (sample(710, "0.55", "0"), sample(700, "0.55", "61000"), sample(690, "0.55", "50000"))
    text = await page_of(
        Shop(at_ms=NOW, accounts=(account(shown()),), samples={"main": held}, prices={"BTC": D("48800.5")})
    )

    assert "48,800.5 USD" in text
    assert "-20.0%" in text
    assert "DOGE" not in text
    assert curves(text, 1)[0][0][1] < curves(text, 1)[-1][-1][1]  # higher up is less


async def test_without_a_stream_or_samples_there_is_a_dot_and_no_price() -> None:
    text = await page_of(Shop(at_ms=NOW, accounts=(account(shown()),)))

    assert curves(text) == [[(1000.0, curves(text)[0][0][1])]]
    assert "Prices of the last 24 hours" not in text


async def test_what_is_acknowledged_says_so() -> None:
    alert = AlertStatus(event="guard_blind", since_ms=NOW - 5 * MINUTE, account="main")
    text = await page_of(Shop(at_ms=NOW, alerts=(alert,)))
    assert "for 5 min" in text
    assert "acknowledged at" not in text
    seen = replace(alert, acknowledged_ms=NOW)
    assert "acknowledged at" in await page_of(Shop(at_ms=NOW, alerts=(seen,)))


async def press(page: Page, token: str, button: str = "Pause") -> None:
    """Fills in the form, and presses a button of it."""
    await page.value(f"document.forms[0].token.value = '{token}'; document.forms[0].reason.value = 'a look'")
    await page.value(
        f"[...document.querySelectorAll('button')].find(it => it.innerText.startsWith('{button}')).click()"
    )


async def a_day_before(world: World) -> None:
    """What an earlier run noted: a fall from 60,000 that went on for a day."""
    journal, now_ms = await open_journal(world.journal_url, writer=True), int(time.time() * 1000)
    for minutes_ago in range(1430, 5, -10):
        gone = (1440 - minutes_ago) / 1440
        waves = 900 * math.sin(gone * 23) + 400 * math.sin(gone * 71)
        price = D(round(60_000 - 8_000 * gone**2 + waves))
        noted = ChartSample(
            at_ms=now_ms - minutes_ago * MINUTE,
            ltvs={LoanKey(Product.LEGACY, ORDER): (D(30_000) / price).quantize(D("0.0001"))},
            prices={"BTC": price},
        )
        await journal.samples.keep(Owner("testnet", USER), noted)
    await journal.close()


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
async def test_in_a_browser_a_crash_moves_it_and_the_token_alone_changes_something(
    open_a_world: OpenWorld, tmp_path: Path
) -> None:
    kept = Path(os.environ.get("LTV_GUARD_PICTURES", tmp_path))
    async with a_box() as box, open_a_world() as world:
        await a_day_before(world)
        (world.folder / "phone.url").write_text(f"json://127.0.0.1:{box.port}/")
        (world.folder / "phone.url").chmod(0o600)
        config = {
            "mode": "live",
            "exchange": {"stream_url": world.stream_url},
            "notify": {"targets": {"phone": {"url_file": "phone.url"}}},
        }
        async with served(world, config) as asked, a_page(tmp_path) as page:
            await page.size(1000, 900)
            await page.open(asked.url)
            await page.until("document.querySelectorAll('svg rect.calm').length === 1")
            await page.until("document.querySelector('.chart polyline').points.length > 100")
            await page.until("document.querySelectorAll('.prices .chart').length === 1")
            before = await page.value(MOVING)
            world.price(CALM - 3000)
            await page.until(f"{MOVING}.every((it, number) => it !== {json.dumps(before)}[number])")
            # Without the token nothing changes, with it the guard is paused: by the form as it stands.
            await press(page, "wrong")
            await page.until("document.body.innerText.includes('Bearer')")
            assert not world.heard("guard_paused"), "a wrong token must never change anything"
            await page.open(asked.url)
            await press(page, TOKEN)
            await world.until(lambda: bool(world.heard("guard_paused")))
            await page.until("!!document.querySelector('main')")
            world.price(NEEDY["add"])
            await page.until("document.body.innerText.includes('breach_unanswered')")
            await page.until("document.querySelectorAll('rect.near').length === 1")
            await page.until("!!document.querySelector('.verdict.bad')")
            assert ORDER in await page.value("document.querySelector('.verdict').innerText")
            assert "What to do" in await page.value("document.querySelector('.alert').innerText")
            await page.pictures(kept)
            # The alarm has reached a phone; whoever has it may say so here, and nobody else.
            await world.until(lambda: any("breach_unanswered" in title for title in box.titles))
            await press(page, "wrong", "Acknowledge")
            await page.until("document.body.innerText.includes('Bearer')")
            await page.open(asked.url)
            assert "acknowledged at" not in await page.value("document.body.innerText")
            await press(page, TOKEN, "Acknowledge")
            await page.until("document.body.innerText.includes('acknowledged at')")
            hosts = {url.split("/")[2] for url in page.asked if url.startswith("http")}
            assert hosts == {asked.url.split("/")[2]}
            complaints = [said for said in page.complaints if "401" not in said and "favicon" not in said]
            assert not complaints, complaints


# The bar, the end of the LTV's curve, and that of the price's.
MOVING = (
    "[document.querySelector('rect.calm').getAttribute('width'), "
    "...[...document.querySelectorAll('.chart circle')].map(it => it.getAttribute('cy'))]"
)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
async def test_without_a_script_it_reads_well_and_its_form_works(
    open_a_world: OpenWorld, tmp_path: Path
) -> None:
    async with open_a_world() as world, served(world) as asked, a_page(tmp_path) as page:
        await page.call("Emulation.setScriptExecutionDisabled", value=True)
        await page.open(asked.url)
        shown = await page.text()
        assert "Nothing is wrong." in shown
        assert ORDER in shown
        await page.type_and_press("input[name=token]", TOKEN, "button")
        await world.until(lambda: bool(world.heard("guard_paused")))
