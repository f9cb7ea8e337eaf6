"""What an exchange may write, long and full of markup: bounded and escaped wherever it is shown."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from core_builders import loan
from e2e_world import NEEDY
from http_world import Shop, open_shop, served
from metric_figures import figures
from watch_targets import a_box

from ltv_guard.core.model.loans import LoanKey, Product
from ltv_guard.core.model.status import AccountStatus, LoanStatus

if TYPE_CHECKING:
    from conftest import OpenWorld

MARKUP = "'\"></p></main><script>alert(1)</script><img src=x onerror=alert(1)><style>*{}</style>\x1b[2J\u202e"
OURS = {"script": 1, "style": 1, "main": 1}
LONGEST_PAGE = 40_000


class Tags(HTMLParser):
    """The tags of a page, and the names of their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}


def is_harmless(text: str) -> None:
    page = Tags(text)
    assert {tag: page.tags.count(tag) for tag in OURS} == OURS
    assert "img" not in page.tags
    assert not [name for name in page.attributes if name.startswith("on") or name == "style"]
    assert not {"\x1b", "\u202e"} & {*text}


async def test_a_message_of_the_exchange_full_of_markup_is_bounded_and_escaped_everywhere(
    open_a_world: OpenWorld,
) -> None:
    async with a_box() as box, open_a_world() as world:
        target = world.folder / "phone.url"
        target.write_text(f"json://127.0.0.1:{box.port}/")
        target.chmod(0o600)
        phone = {"notify": {"targets": {"phone": {"url_file": "phone.url", "level": "info"}}}}
        async with served(world, phone) as asked:
            long = MARKUP * 300
            world.fault("ret_code", endpoint="adjust", code=148012, message=long, times=None)
            world.price(NEEDY["add"])
            await world.until(lambda: bool(world.heard("adjustment_rejected")))
            world.fault("ret_code", endpoint="orders", code=10005, message=long, times=None)
            await world.until(lambda: bool(world.heard("needs_human")))
            await world.until(lambda: any("<img" in item["message"] for item in box.got))
            text = (await asked.get("/"))[1]
            assert "&lt;img" in text
            is_harmless(text)
            assert len(text) < LONGEST_PAGE
            for path in ("/api/v1/status", "/readyz", "/metrics"):
                shown = (await asked.get(path))[1]
                assert len(shown) < LONGEST_PAGE, path
                assert not {"\x1b", "\u202e"} & {*shown}, path
            figures((await asked.get("/metrics"))[1])
            assert max(len(item["message"]) + len(item["title"]) for item in box.got) < 10_000
            assert all(len(json.dumps(event, default=str)) < 5000 for event in world.events)


@pytest.mark.parametrize("product", [Product.LEGACY, Product.CRYPTO_LOAN])
async def test_ids_and_coins_that_are_markup_are_no_more_than_text(product: Product) -> None:
    named = replace(loan("0.80"), key=LoanKey(product, MARKUP))
    held = tuple(replace(item, coin=MARKUP) for item in named.collateral)
    owed = tuple(replace(item, coin=MARKUP) for item in named.debts)
    item = LoanStatus(
        loan=replace(named, collateral=held, debts=owed),
        trigger_ltv=Decimal("0.75"),
        target_ltv=Decimal("0.65"),
        fall_to_trigger=Decimal(0),
        fall_to_margin_call=Decimal("0.1"),
        fall_to_liquidation=Decimal("0.2"),
        doing="in_bounds",
        tell_reason=lambda: MARKUP,
    )
    account = AccountStatus(
        name="main",
        outcome=MARKUP,
        withheld=None,
        unsighted_s=1,
        trouble=MARKUP,
        loans=(item,),
        wallet={MARKUP: Decimal(1)},
    )
    async with open_shop(Shop(accounts=(account,), prices={MARKUP: Decimal(1)})) as asked:
        is_harmless((await asked.get("/"))[1])
        labels = {value for key in figures((await asked.get("/metrics"))[1]) for value in key}
        assert MARKUP in labels
        assert (await asked.tree())["accounts"]["main"]["loans"][0]["loan_id"] == MARKUP
