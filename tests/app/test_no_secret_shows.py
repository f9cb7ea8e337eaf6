"""Whatever the program can emit, in earnest and in trouble: no secret, and no piece of one, is in it."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from e2e_world import NEEDY, USER, Command, World, command, ran, scenario_of, until
from http_world import Served, a_free_port, asking
from leaks import (
    API_KEY,
    API_SECRET,
    DEADMAN_ID,
    PASSWORD,
    PATH,
    PG_PASSWORD,
    RSA_API_KEY,
    TOKEN,
    Scan,
    rsa_pem,
    secrets,
)
from secret_files import write_secret
from watch_targets import Box, a_box

from ltv_guard.adapters.settings import ConfigError, load
from ltv_guard.service.notify.delivery_thread import send

if TYPE_CHECKING:
    from conftest import OpenWorld

# The daemon, with two errors of ours: in what shows its status, and now and then in what reads an answer.
WITH_DEFECTS = """
from itertools import count
from ltv_guard.adapters.bybit import transport
from ltv_guard.adapters.http import status_json
read, number = transport._read, count(1)
async def fails_at_times(response, largest):
    if largest > transport.LARGEST_WRITE_ANSWER and next(number) % 7 == 0:
        raise RuntimeError("an error of ours")
    return await read(response, largest)
def fails(status):
    raise RuntimeError("an error of ours")
transport._read, status_json.as_json = fails_at_times, fails
from ltv_guard.__main__ import main
main()
"""
KEYS = [{"key": API_KEY, "secret": API_SECRET, "user": USER}]
ORIGIN = f"error sign! origin_string[1658384314791{API_KEY}5000]"


@asynccontextmanager
async def odd_target() -> AsyncIterator[int]:
    """A web server whose head no library likes. Its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nno colon here\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def in_earnest(world: World, port: int, box: int, odd: int) -> None:
    """Files with secrets, and a configuration that names them."""
    for file in (*world.folder.glob("*.key"), *world.folder.glob("*.secret")):
        file.unlink()
    url = f"json://alice:{PASSWORD}@127.0.0.1"
    for name, text in (
        ("bybit-key", API_KEY),
        ("bybit-secret", API_SECRET),
        ("rsa-key", RSA_API_KEY),
        ("rsa-pem", rsa_pem()),
        ("http-token", TOKEN),
        ("box-url", f"{url}:{box}/{PATH}"),
        ("odd-url", f"{url}:{odd}/{PATH}"),
        ("away-url", f"{url}:1/{PATH}"),
        ("deadman-url", f"http://127.0.0.1:1/ping/{DEADMAN_ID}"),
    ):
        (world.folder / "secrets").mkdir(exist_ok=True)
        write_secret(world.folder / "secrets" / name, f"{text}\n")
    targets = {name: {"url_file": f"secrets/{name}-url", "level": "info"} for name in ("box", "odd", "away")}
    world.configure(
        {
            "accounts": {
                "main": {"api_key_file": "secrets/bybit-key", "api_secret_file": "secrets/bybit-secret"},
                "refused": {"api_key_file": "secrets/rsa-key", "rsa_private_key_file": "secrets/rsa-pem"},
            },
            "http": {"enabled": True, "port": port, "token_file": "secrets/http-token"},
            "notify": {"targets": targets},
            "deadman": {"url_file": "secrets/deadman-url"},
            "logging": {"level": "DEBUG"},
        }
    )


async def asked_for(asked: Served, scan: Scan) -> None:
    for path in ("/", "/metrics", "/api/v1/status", "/readyz", "/livez"):
        scan.add(path, "".join(map(str, await asked.get(path))))
    for token in ("wrong", TOKEN):
        for path in ("pause", "resume", "ack", "nothing"):
            scan.add(f"POST {path}", json.dumps(await asked.post(f"/api/v1/{path}", token=token)))
    scan.add(
        "garbage", await asked.raw(f"POST / HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\r\n\r\n".encode())
    )


async def in_trouble(world: World, daemon: Command, box: Box) -> None:
    """A help that is taken, one that is refused with words that quote the key, a key that is refused."""
    await until(lambda: bool(daemon.heard("http_served")), why=lambda: daemon.output)
    world.price(NEEDY["add"])
    await until(lambda: bool(daemon.heard("adjustment_confirmed")), why=lambda: daemon.output)
    world.fault("ret_code", endpoint="adjust", code=148012, message=f"of key {API_KEY}: not enough")
    world.price(NEEDY["add"] - 6000)
    await until(lambda: bool(daemon.heard("adjustment_rejected")), why=lambda: daemon.output)
    world.fault("ret_code", endpoint="orders", code=10004, message=ORIGIN, times=None)
    await until(
        lambda: (
            any(event["account"] == "main" for event in daemon.heard("needs_human"))
            and "guard_blind" in json.dumps(box.got)
        ),
        why=lambda: daemon.output,
    )


def emitted(daemon: Command, world: World, scan: Scan) -> None:
    scan.add("the log", daemon.output)
    for file in world.folder.rglob("*"):
        if file.is_file() and file.parent.name != "secrets":
            scan.add(f"the file {file.name}", file.read_bytes())


def command_line(daemon: Command) -> bytes:
    """As `ps` shows it."""
    return Path(f"/proc/{daemon.process.pid}/cmdline").read_bytes()


COMMANDS = (
    *(("check", "--json", "--notify"), ("plan", "--json"), ("status", "--json"), ("journal", "--json")),
    *(("export", "--csv"), ("notify", "--test"), ("health",), ("ack",), ("pause", "--reason", "a look")),
)
MORE_COMMANDS = (
    ("check",),
    ("plan",),
    ("status",),
    ("journal",),
    ("run", "--once"),
    ("resume",),
    ("schema",),
)


@pytest.mark.slow
@pytest.mark.parametrize("more", [False, True], ids=["", "more"])
async def test_a_daemon_in_trouble_shows_no_secret_by_any_way(open_a_world: OpenWorld, more: bool) -> None:  # noqa: FBT001
    scan, port = Scan(), a_free_port()
    async with a_box() as box, odd_target() as odd, open_a_world(scenario_of(keys=KEYS)) as world:
        in_earnest(world, port, box.port, odd)
        program, debug = ("-c", WITH_DEFECTS), {"PYTHONASYNCIODEBUG": "1"} if more else {}
        run = command("run", "-c", world.config_file, program=program, environ=debug)
        async with run as daemon, asking(port) as asked:
            await in_trouble(world, daemon, box)
            await asked_for(asked, scan)
            scan.add("ps", command_line(daemon))
            for words in (*COMMANDS, *(MORE_COMMANDS if more else ())):
                _, ended = await ran(*words, *(() if words == ("schema",) else ("-c", world.config_file)))
                scan.add(" ".join(words), ended.output)
            daemon.process.terminate()
            assert await daemon.ends() == 0
        emitted(daemon, world, scan)
        scan.add("notifications", json.dumps(box.got))
    defects = [event for event in daemon.heard("defect") if "exception" in event]
    assert defects, "the traceback of an error of ours is looked at too"
    for told in ("deadman_unreachable", "notices_held_up", "read_failed", "needs_human"):
        assert daemon.heard(told), told
    assert {"notifications", "the file journal.db", "check --json --notify", "/metrics"} <= scan.seen.keys()
    assert scan.found() == [], "a secret must never show"


def test_an_error_of_a_service_s_plugin_costs_the_message_and_shows_no_url(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(self: object, **_: object) -> bool:
        raise ValueError(f"json://alice:{PASSWORD}@127.0.0.1/{PATH}")

    monkeypatch.setattr("apprise.Apprise.notify", fails)
    assert send(f"json://alice:{PASSWORD}@127.0.0.1:1/{PATH}", "a", "b", "info") is False


REFUSED: dict[str, tuple[str, dict[str, str]]] = {
    "YAML that is none": (f"accounts: {{main: {{api_key: {API_KEY}, api_secret: {API_SECRET}", {}),
    "a token as a path": (f"http: {{token_file: {TOKEN}}}", {}),
    "a token of other letters as a path": (f"http: {{token_file: {TOKEN[:12]}_{PG_PASSWORD}}}", {}),
    "a token with its name": (f"http: {{token: {TOKEN}}}", {}),
    "a target without a file": (f"notify: {{targets: {{phone: 'tgram://{PATH}/1'}}}}", {}),
    "a target's URL as a path": (f"notify: {{targets: {{phone: {{url_file: 'tgram://{PATH}/1'}}}}}}", {}),
    "the dead man's URL": (f"deadman: {{url: 'https://hc-ping.com/{DEADMAN_ID}'}}", {}),
    "the dead man's URL as a path": (f"deadman: {{url_file: 'https://hc-ping.com/{DEADMAN_ID}'}}", {}),
    "the dead man's id as a path": (f"deadman: {{url_file: {DEADMAN_ID}}}", {}),
    "a password in a host's name": (f"exchange: {{base_url: 'https://a:{PASSWORD}@127.0.0.1'}}", {}),
    "the same of the stream": (f"exchange: {{stream_url: 'wss://a:{PASSWORD}@127.0.0.1'}}", {}),
    "a database's password": (f"journal: {{url: 'postgresql://u:{PG_PASSWORD}@db/x'}}", {}),
    "an @ in a password": ("", {"LTV_GUARD_JOURNAL__URL": f"postgresql://u:a@{PG_PASSWORD}@db/x"}),
    "a key in quotes": ("", {"LTV_GUARD_ACCOUNTS__MAIN__API_KEY": f"'{API_KEY}'"}),
    "JSON that is none": ("", {"LTV_GUARD_ACCOUNTS": f'{{"main": {{"api_key": "{API_KEY}"'}),
    "the secret as its file": ("", {"LTV_GUARD_ACCOUNTS__MAIN__API_SECRET_FILE": API_SECRET}),
    "a PEM as its file": ("", {"LTV_GUARD_ACCOUNTS__MAIN__RSA_PRIVATE_KEY_FILE": rsa_pem()}),
    "a PEM cut short": ("", {"LTV_GUARD_ACCOUNTS__MAIN__RSA_PRIVATE_KEY": rsa_pem()[:900]}),
}


@pytest.mark.parametrize(("text", "environ"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_is_named_and_not_quoted(tmp_path: Path, text: str, environ: dict[str, str]) -> None:
    path, scan = tmp_path / "config.yaml", Scan()
    path.write_text(text if "accounts" in text else f"{text}\naccounts: {{main: {{api_key_file: absent}}}}\n")
    with pytest.raises(ConfigError) as refused:
        load(path, environ=environ)
    scan.add("the sentence", "".join(traceback.format_exception(refused.value)))
    assert scan.found() == [], "a secret must never show"


@pytest.mark.slow
@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u:{PG_PASSWORD}@127.0.0.1:1/x",
        f"postgresql://u@127.0.0.1:1/x?password={PG_PASSWORD}",
        f"postgresql://u@127.0.0.1:1/x?sslpassword={PG_PASSWORD}",
    ],
)
async def test_a_database_that_can_not_be_reached_is_told_of_without_its_password(
    open_a_world: OpenWorld, url: str
) -> None:
    scan = Scan()
    async with open_a_world() as world:
        world.config["journal"] = {"url_file": "pg-url"}
        world.configure({})
        write_secret(world.folder / "pg-url", url)
        settings = world.settings()
        scan.add("settings", f"{settings!r}{settings}{settings.model_dump()}{settings.journal.shown}")
        for words in (("check", "--json"), ("run", "--once"), ("pause", "--reason", "x")):
            status, ended = await ran(*words, "-c", world.config_file)
            scan.add(" ".join(words), ended.output)
            assert status == 1, ended.output
    assert scan.found() == [], "a secret must never show"


@pytest.mark.slow
async def test_an_exchange_without_tls_is_told_of_and_shows_no_key(open_a_world: OpenWorld) -> None:
    scan = Scan()
    async with open_a_world(scenario_of(keys=KEYS)) as world:
        in_earnest(world, 9464, 1, 1)
        world.configure({"exchange": {"base_url": world.exchange.url.replace("http:", "https:")}})
        settings = world.settings()
        scan.add("settings", f"{settings!r}{settings}{settings.model_dump()}{settings.model_dump_json()}")
        for words in (("check", "--json"), ("run", "--once")):
            status, ended = await ran(*words, "-c", world.config_file)
            scan.add(" ".join(words), ended.output)
            assert status == 1, ended.output
    assert scan.found() == [], "a secret must never show"


def test_the_scan_finds_a_piece_of_each() -> None:
    for name, secret in secrets().items():
        scan = Scan()
        scan.add("a log", f"x{secret[5:13]}y")
        assert name in scan.found()[0]
