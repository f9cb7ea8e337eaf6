"""Random reloads, good, bad and absurd, while a loan is in breach: the daemon never guards less."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
import yaml
from e2e_world import KEY, SECRET, World, command, merged, scenario_of
from reload_steps import hup, unreadable

if TYPE_CHECKING:
    from conftest import OpenWorld

Chance = random.Random
STEPS = {"policy": {"limits": {"max_add": {"BTC": "0.02"}}}}


def good(world: World, chance: Chance) -> None:
    changes = [
        {"policy": {"add": {"target_ltv": chance.choice(["0.64", "0.65", "0.66"])}}},
        {"schedule": {"poll_interval_s": chance.choice([0.2, 0.25, 0.3])}},
        {"logging": {"level": chance.choice(["DEBUG", "INFO", "WARNING"])}},
        {"exchange": {"request_timeout_s": chance.choice([0.7, 0.8])}},
        {"wallet": {"reserve": {"BTC": chance.choice(["0", "0.01"])}}},
    ]
    world.configure(chance.choice(changes))


def bad_address(world: World, chance: Chance) -> None:
    hosts = [
        "https://api..bybit.com",
        "http://[::1",
        "https://" + "a" * 300,
        "http://127.0.0.1:1",
        "ftp://x",
        "",
    ]
    written = merged(
        world.config, {"exchange": {"base_url": chance.choice(hosts) or f"http://{chance.random()}"}}
    )
    world.config_file.write_text(yaml.safe_dump(written))


def bad_text(world: World, chance: Chance) -> None:
    texts = [
        *(
            b"\xff\xfe\x00x",
            b"a: [",
            b"mode: live\nmode: live",
            b"x" * 300_000,
            b"\x00",
            b"- a",
            b"[" * 20_000,
        ),
        b"a: &a [" + b"x, " * 20 + b"]\nb: [" + b"*a, " * 50_000 + b"]",
        b"a: !!python/object:os.system x",
        chance.randbytes(500),
    ]
    world.config_file.write_bytes(chance.choice(texts))


def bad_value(world: World, chance: Chance) -> None:
    changes = [
        {"policy": {"add": {"trigger_ltv": 2}}},
        {"schedule": {"poll_interval_s": "NaN"}},
        {
            "journal": {
                "url": chance.choice(
                    ["sqlite:////dev/full", "sqlite:////", "mysql://x/y", "postgresql://x:1/y"]
                )
            }
        },
        {"accounts": {"main": {"api_key_file": "/proc/kmsg"}}},
        {"accounts": {"other": {"api_key_file": "main.key", "api_secret_file": "main.secret"}}},
        {"unknown": 1},
    ]
    world.config_file.write_text(yaml.safe_dump(merged(world.config, chance.choice(changes))))


def no_file(world: World, chance: Chance) -> None:
    path = chance.choice([world.config_file, world.folder / "main.key", world.folder / "main.secret"])
    unreadable(path, chance.choice(["fifo", "folder", "dangling", "device", "socket", "nothing"]))


def bad_key(world: World, chance: Chance) -> None:
    name = chance.choice(["main.key", "main.secret"])
    (world.folder / name).write_text(chance.choice(["wrong", "", "\x00", "KEY=VALUE", "x" * 20_000]))


KINDS: list[Callable[[World, Chance], None]] = [
    good,
    good,
    bad_address,
    bad_text,
    bad_value,
    no_file,
    bad_key,
]


def mended(world: World) -> None:
    """Everything as it should be again."""
    for path, text in (
        (world.folder / "main.key", KEY),
        (world.folder / "main.secret", SECRET),
        (world.config_file, yaml.safe_dump(world.config)),
    ):
        if path.is_dir():
            path.rmdir()
        path.unlink(missing_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("reloads", "seed"),
    [(6, 1), pytest.param(200, 2, marks=[pytest.mark.nightly, pytest.mark.timeout(900)])],
)
async def test_random_reloads_never_end_a_daemon_and_never_make_it_guard_less(
    open_a_world: OpenWorld, reloads: int, seed: int
) -> None:
    chance, told = random.Random(seed), Counter[str]()
    price = Decimal(38000)
    async with open_a_world(scenario_of(price), config=STEPS) as world:
        async with command("run", "-c", world.config_file) as daemon:
            await world.until(lambda: bool(world.effects()))
            for number in range(reloads):
                spoil = chance.choice(KINDS)
                spoil(world, chance)
                answer = await hup(world, daemon)
                told[f"{spoil.__name__}: {answer['event']}"] += 1
                assert (answer["event"] == "config_reloaded") == (spoil is good), answer
                mended(world)
                asked = sum(world.exchange.requests.values())
                await world.until(lambda asked=asked: sum(world.exchange.requests.values()) > asked + 1)
                if number % 5 == 0:  # and it goes on adding
                    price = min(
                        price,
                        Decimal(30000)
                        / world.exchange.ledger.accounts["1"].orders["1001"].collateral
                        / Decimal("0.78"),
                    )
                    world.price(price.quantize(Decimal("0.01")))
                    seen = len(world.effects())
                    await world.until(lambda seen=seen: len(world.effects()) > seen)
            daemon.process.terminate()
            assert await daemon.ends() == 0, daemon.output[-3000:]
            for alarm in ("guard_blind", "cycle_failed", "journal_unavailable", "needs_human"):
                assert not daemon.heard(alarm), daemon.heard(alarm)[0]
        await world.judge(nothing_open=False)
    print(f"{reloads} reloads of a loan in breach, {len(world.effects())} adds beside them: {dict(told)}")  # noqa: T201
