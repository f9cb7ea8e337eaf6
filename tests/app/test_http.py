"""What a running guard shows over HTTP, to whom, and what it does not let anybody do."""

from __future__ import annotations

import asyncio
import io
import signal
import socket
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from e2e_world import NEEDY, ORDER, until
from http_world import TOKEN, Shop, asking, open_shop, served, until_ready
from metric_figures import figures

from ltv_guard.core.model.contracts import AtEnd, Contract
from ltv_guard.core.model.status import AccountStatus
from ltv_guard.core.model.withheld import Why, Withheld
from ltv_guard.log import format as logs

if TYPE_CHECKING:
    from conftest import OpenWorld


async def test_a_guard_at_work_is_alive_ready_and_shows_its_loans(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world, served(world) as asked:
        assert await asked.get("/livez") == (200, "the event loop turns\n")
        assert (await asked.get("/readyz"))[0] == 200
        world.price(NEEDY["add"])
        await world.until_settled_at_target()
        await world.until_quiet()
        shown = await asked.tree()
        (loan,) = shown["accounts"]["main"]["loans"]
        assert shown["accounts"]["main"]["outcome"] == "ok"
        assert (loan["product"], loan["loan_id"]) == ("crypto_loan_legacy", ORDER)
        assert Decimal(loan["ltv"]).quantize(Decimal("0.001")) == world.ltv().quantize(Decimal("0.001"))
        assert (loan["trigger_ltv"], loan["target_ltv"]) == ("0.75", "0.65")
        assert loan["debt"] == {"USDT": "30000"}
        assert Decimal(loan["fall_to_liquidation"]) > Decimal("0.2")
        last = loan["last_adjustment"]
        assert (last["direction"], last["coin"], last["state"]) == ("add", "BTC", "confirmed")
        assert Decimal(shown["accounts"]["main"]["wallet"]["BTC"]) > 4
        assert shown["alerts"] == []


async def test_metrics_hold_the_loan_its_lines_and_what_was_done(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world, served(world) as asked:
        world.price(NEEDY["add"])
        await world.until_settled_at_target()
        status, text = await asked.get("/metrics")
        found = figures(text)
        loan = ("main", ORDER, "crypto_loan_legacy")  # labels by their names
        assert status == 200
        assert 0.6 < found["ltv_guard_loan_ltv", *loan] < 0.8
        assert found["ltv_guard_loan_trigger_ltv", *loan] == 0.75
        assert found["ltv_guard_loans", "main"] == 1
        assert found["ltv_guard_ready",] == 1
        assert found["ltv_guard_adjustments_total", "main", "add", "confirmed"] >= 1
        assert found["ltv_guard_requests_total", "main", "2xx"] > 3
        assert found["ltv_guard_cycle_seconds_count", "main"] > 1
        assert found["ltv_guard_cycle_seconds_bucket", "main", "+Inf"] > 1
        assert found["ltv_guard_breach_to_wire_seconds_count", "main"] == 1
        assert found["ltv_guard_breach_to_wire_seconds_sum", "main"] < 60
        assert 0 < found["ltv_guard_address_requests_left",] <= 480
        assert 0 <= found["ltv_guard_requests_left", "main", "/v5/crypto-loan/ongoing-orders"] <= 5
        world.exchange.ledger.accounts["1"].orders[ORDER].status = "closed"

        async def is_gone() -> bool:
            return ("ltv_guard_loan_ltv", *loan) not in figures((await asked.get("/metrics"))[1])

        await world.until(is_gone)


async def test_an_alarm_that_lasts_is_shown_and_goes_when_it_is_over(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world, served(world, {"mode": "dry_run"}) as asked:
        world.price(NEEDY["add"])
        await world.until(lambda: bool(world.heard("breach_unanswered")))
        (alert,) = (await asked.tree())["alerts"]
        assert (alert["event"], alert["account"], alert["loan_id"]) == ("breach_unanswered", "main", ORDER)
        assert alert["details"]["why"] == "dry_run"
        assert figures((await asked.get("/metrics"))[1])["ltv_guard_alerts", "breach_unanswered"] == 1
        assert (await asked.get("/readyz"))[0] == 200  # a dry run is told, and is ready
        world.price(60000)

        async def is_over() -> bool:
            return (await asked.tree())["alerts"] == []

        await world.until(is_over)


@pytest.mark.slow
async def test_a_journal_that_can_not_be_used_is_not_ready_and_says_so(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world, served(world) as asked:
        (world.folder / "journal.db").rename(world.folder / "elsewhere.db")
        await until_ready(asked, 503)
        assert "journal" in (await asked.tree("/readyz"))["troubles"]
        assert (await asked.get("/livez"))[0] == 200
        assert figures((await asked.get("/metrics"))[1])["ltv_guard_journal_usable",] == 0
        (world.folder / "elsewhere.db").rename(world.folder / "journal.db")
        await until_ready(asked, 200)


# Who may change something.


async def test_with_the_token_a_guard_is_paused_and_goes_on(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world, served(world) as asked:
        assert await asked.post("/api/v1/pause", {"reason": "a look"}) == (
            200,
            {"paused": "all accounts", "reason": "a look"},
        )
        await world.until(lambda: bool(world.heard("guard_paused")))
        world.price(NEEDY["add"])
        await world.until(lambda: bool(world.heard("breach_unanswered")))
        shown = (await asked.tree())["accounts"]["main"]
        assert (shown["outcome"], shown["withheld"]["detail"]) == ("paused", "a look")
        assert (await asked.get("/readyz"))[0] == 200
        assert world.effects() == [], "a pause must never be passed"
        assert await asked.post("/api/v1/resume") == (200, {"resumed": "all accounts", "lifted": True})
        await world.until_settled_at_target()


STRANGERS: list[tuple[str | None, dict[str, str], int]] = [
    (None, {}, 401),
    ("wrong", {}, 401),
    (TOKEN + "x", {}, 401),
    ("\u00fc" * 20, {}, 401),
    (TOKEN, {"Origin": "http://evil.example"}, 403),
    (TOKEN, {"Sec-Fetch-Site": "cross-site"}, 403),
    (TOKEN, {"Host": "evil.example"}, 421),
]


@pytest.mark.parametrize(("token", "headers", "status"), STRANGERS)
async def test_whoever_has_no_token_or_comes_from_elsewhere_changes_nothing(
    token: str | None, headers: dict[str, str], status: int, events: list[dict[str, Any]]
) -> None:
    shop = Shop()
    async with open_shop(shop) as asked:
        for path in ("/api/v1/pause", "/api/v1/resume"):
            assert (await asked.post(path, {"reason": "x"}, token=token, **headers))[0] == status
    assert shop.changed == [], "a stranger must never change anything"
    assert TOKEN not in repr(events), "a token must never be logged"


async def test_a_token_that_fits_changes_what_was_asked_for() -> None:
    shop = Shop()
    async with open_shop(shop) as asked:
        assert (await asked.post("/api/v1/pause", {"account": "main", "reason": "x"}))[0] == 200
        assert (await asked.post("/api/v1/resume", Origin=asked.url))[0] == 200
    assert shop.changed == [("pause", "main", "x"), ("resume", "all")]


async def test_without_a_token_in_the_configuration_nobody_changes_anything() -> None:
    shop = Shop(token=None)
    async with open_shop(shop) as asked:
        for token in (TOKEN, "", "None"):
            status, said = await asked.post("/api/v1/pause", token=token)
            assert (status, "http.token_file" in said["error"]) == (403, True)
    assert shop.changed == [], "without a token it must never be changed"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"account": "other"}, "no account other"),
        ([1], "JSON object"),
        ({"reason": "x" * 10_000}, "can't be read"),
    ],
)
async def test_a_change_that_makes_no_sense_is_refused(body: object, said: str) -> None:
    async with open_shop(Shop()) as asked:
        status, answer = await asked.post("/api/v1/pause", body)
        assert (status, said in answer["error"]) == (400, True)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost:9464", 200),
        ("[::1]:9464", 200),
        ("10.1.2.3:9464", 200),
        (socket.gethostname(), 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("", 421),
    ],
)
async def test_a_page_elsewhere_can_not_point_its_own_name_here(host: str, status: int) -> None:
    async with open_shop(Shop()) as asked:
        for path in ("/livez", "/api/v1/status", "/metrics"):
            assert (await asked.get(path, Host=host))[0] == status


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("POST", "/metrics", 405),
        ("GET", "/api/v1/pause", 405),
        ("HEAD", "/livez", 200),
    ],
)
async def test_what_is_not_there_or_not_meant_so_is_refused(method: str, path: str, status: int) -> None:
    async with open_shop(Shop()) as asked:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with asked.session.request(method, asked.url + path, headers=headers) as answer:
            assert answer.status == status
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


async def test_what_others_wrote_is_no_more_than_text(events: list[dict[str, Any]]) -> None:
    evil = '"</script><script>alert(1)</script>\x1b[2J\u202e'
    withheld = Withheld(kind=Why.NEEDS_HUMAN, detail=evil)
    account = AccountStatus(
        name="main",
        outcome="needs_human",
        withheld=withheld,
        unsighted_s=1,
        trouble=evil,
        set_aside=((evil, evil, evil),),
        wallet={evil: Decimal(1)},
    )
    shop = Shop(troubles={"main": evil}, accounts=(account,))
    async with open_shop(shop) as asked:
        for path in ("/api/v1/status", "/readyz"):
            _, text = await asked.get(path)
            assert not {"\x1b", "\u202e"} & {*text}
        assert (await asked.tree())["accounts"]["main"]["trouble"] == evil
        assert figures((await asked.get("/metrics"))[1])["ltv_guard_wallet_coins", "main", evil] == 1


async def test_fixed_loans_are_shown_to_programs_to_people_and_to_prometheus(
    events: list[dict[str, Any]],
) -> None:
    """At 1000 s; one ends at 4600 s, one has ended at 400 s. One that is gone is gone from the metrics."""
    lent = Contract(loan_id="7", coin="USDT", ends_at_ms=4_600_000, principal=Decimal(1000))
    ended = replace(lent, loan_id="8", coin="ETH", ends_at_ms=400_000, at_end=AtEnd.NOTHING)
    account = AccountStatus(
        name="main",
        outcome="ok",
        withheld=None,
        unsighted_s=1,
        trouble=None,
        wallet={"USDT": Decimal(5000)},
        due={"USDT": Decimal(1000)},
        contracts=(ended, lent),
        exchange_ms=1_000_000,
    )
    shop = Shop(accounts=(account,), at_ms=1_000_000)
    async with open_shop(shop) as asked:
        shown = (await asked.tree())["accounts"]["main"]
        assert shown["due"] == {"USDT": "1000"}
        assert shown["contracts"][1] == {
            "loan_id": "7",
            "coin": "USDT",
            "owed": "1000",
            "ends_at": "1970-01-01T01:16:40Z",
            "at_end": "repaid",
            "overdue": False,
        }
        page = (await asked.get("/"))[1]
        assert (
            "<td>1000 USDT</td><td>1970-01-01T01:16:40Z</td><td>repaid from the Funding wallet</td>" in page
        )
        assert "its end is past" in page
        assert "<td>USDT</td><td>5000</td><td>0</td><td>1000</td>" in page
        told = figures((await asked.get("/metrics"))[1])
        assert told["ltv_guard_due_coins", "main", "USDT"] == 1000
        assert told["ltv_guard_contract_owed_coins", "main", "USDT", "7"] == 1000
        assert told["ltv_guard_contract_left_seconds", "main", "USDT", "7"] == 3600
        assert told["ltv_guard_contract_left_seconds", "main", "ETH", "8"] == -600
        shop.accounts = (replace(account, contracts=(lent,) * 250),)
        told = figures((await asked.get("/metrics"))[1])
        assert ("ltv_guard_contract_owed_coins", "main", "ETH", "8") not in told


async def test_a_defect_in_an_answer_costs_that_answer_alone(events: list[dict[str, Any]]) -> None:
    shop = Shop(accounts=(None,))  # type: ignore[arg-type] # that is the defect
    async with open_shop(shop) as asked:
        assert (await asked.get("/api/v1/status"))[0] == 500
        assert (await asked.get("/livez"))[0] == 200
    assert [item["what"] for item in events if item["event"] == "defect"] == ["an answer over HTTP"]


async def test_a_defect_that_each_scrape_finds_is_told_once_with_its_traceback(
    events: list[dict[str, Any]],
) -> None:
    shop = Shop(accounts=(None,))  # type: ignore[arg-type] # that is the defect
    async with open_shop(shop) as asked:
        for _ in range(3):
            for path in ("/metrics", "/", "/api/v1/status"):
                assert (await asked.get(path))[0] == 500
    told = [item for item in events if item["event"] == "defect"]
    assert [item["exc_info"] is not None for item in told] == [True] * len({item["why"] for item in told})


async def test_a_value_error_of_ours_is_no_mistake_of_whoever_asked(
    events: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: object) -> bytes:
        raise ValueError("a defect of ours")

    monkeypatch.setattr("ltv_guard.adapters.http.status_json.as_json", fails)
    async with open_shop(Shop()) as asked:
        assert (await asked.get("/api/v1/status"))[0] == 500
    assert len([item for item in events if item["event"] == "defect"]) == 1


def a_post(head: str, body: bytes = b"") -> bytes:
    return f"POST /api/v1/pause HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n".encode("latin-1") + body


FORM = "Content-Type: application/x-www-form-urlencoded"
BODIES = {
    "an encoding that there is not": a_post(f"{FORM}; charset=foo\r\nContent-Length: 3", b"a=b"),
    "cut off": a_post(f"{FORM}\r\nContent-Length: 100", b"a=b"),
    "chunks that are none": a_post(f"{FORM}\r\nTransfer-Encoding: chunked", b"zz\r\nabc"),
    "compressed, and is not": a_post(f"{FORM}\r\nContent-Encoding: gzip\r\nContent-Length: 3", b"abc"),
    "too long": a_post(f"{FORM}\r\nContent-Length: 9999", b"a" * 9999),
}


@pytest.mark.parametrize("sent", BODIES.values(), ids=BODIES)
async def test_a_body_that_can_not_be_read_is_the_senders_mistake_and_no_defect(
    sent: bytes, events: list[dict[str, Any]]
) -> None:
    async with open_shop(Shop()) as asked:
        answer = await asked.raw(sent, ends=sent is BODIES["cut off"])
        assert answer[8:12] == (b"" if sent is BODIES["cut off"] else b" 400")
        assert (await asked.get("/livez"))[0] == 200
    assert [item for item in events if item["event"] == "defect"] == []


@pytest.mark.parametrize(
    "head",
    [
        "Content-Type: application/json; charset=foo\r\nContent-Length: 2",
        "Content-Length: 100",
        "Transfer-Encoding: chunked\r\n\r\n9",
        "Authorization: Bearer \xff\xfe\r\nContent-Length: 2",
    ],
)
async def test_whoever_has_no_token_is_refused_before_the_body_is_read(
    head: str, events: list[dict[str, Any]]
) -> None:
    async with open_shop(Shop()) as asked:
        assert (await asked.raw(a_post(head, b"{}"))).startswith(b"HTTP/1.1 401")
    assert [item for item in events if item["event"] == "defect"] == []


async def test_a_request_that_is_garbage_leaves_nothing_in_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    logs.configure(style="json", stream=stream)
    try:
        async with open_shop(Shop()) as asked:
            answer = await asked.raw(a_post(f"Authorization: Bearer {TOKEN}\r"))
            assert answer.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400"))
    finally:
        structlog.reset_defaults()
    assert stream.getvalue() == ""
    assert TOKEN not in "".join(capfd.readouterr()), "a token must never be logged"


# What it may not do to the guard.


async def test_a_port_that_is_taken_is_told_once_and_the_guard_goes_on(open_a_world: OpenWorld) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        async with open_a_world() as world:
            world.configure({"http": {"enabled": True, "port": other.getsockname()[1]}})
            async with world.guarded():
                await world.until(lambda: bool(world.heard("http_not_served")))
                world.price(NEEDY["add"])
                await world.until_settled_at_target()
            (told,) = world.heard("http_not_served")
            assert told["level"] == "warning"
            assert "in use" in told["why"].lower()


@pytest.mark.slow
async def test_a_reload_opens_another_port_and_closes_the_one_before(open_a_world: OpenWorld) -> None:
    from e2e_world import command  # noqa: PLC0415 - only here
    from http_world import a_free_port  # noqa: PLC0415

    first, second = a_free_port(), a_free_port()
    async with open_a_world() as world:
        world.configure({"http": {"enabled": True, "port": first}})
        async with command("run", "-c", world.config_file) as daemon, asking(second) as asked:
            await until(lambda: bool(daemon.heard("http_served")), why=lambda: daemon.output)
            world.configure({"http": {"port": second}})
            daemon.process.send_signal(signal.SIGHUP)
            await until(lambda: len(daemon.heard("http_served")) == 2, why=lambda: daemon.output)
            assert (await asked.get("/livez"))[0] == 200
            with pytest.raises(OSError, match="Connect"):
                await asyncio.open_connection("127.0.0.1", first)
            daemon.process.terminate()
            assert await daemon.ends() == 0
