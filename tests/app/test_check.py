"""`check` as a doctor: where values came from, thresholds, what a fall asks for, TLS, port and targets."""

from __future__ import annotations

import datetime as dt
import json
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from e2e_shown import WIDE, findings
from e2e_world import AN_ORDER, KEY, SECRET, USER, World, ran, scenario_of
from http_world import a_free_port, served
from watch_targets import a_box

from ltv_guard.service.host_check import examine_tls

if TYPE_CHECKING:
    from conftest import OpenWorld

HUSH = "hush4Real1ooking"
POOR = {USER: {"funding": {"BTC": "0.1"}, **AN_ORDER.borrowed}}


async def checked(world: World, *options: str, environ: dict[str, str] | None = None) -> dict[str, Any]:
    """What `check --json` found; the exit status has to agree."""
    status, said = await ran("check", "-c", world.config_file, "--json", *options, environ=environ)
    found: dict[str, Any] = json.loads("".join(said.lines))
    assert found["good"] == (status == 0), said.output
    assert SECRET not in said.output
    assert KEY not in said.output
    return found


def finding(found: dict[str, Any], what: str) -> dict[str, Any]:
    return next(item for item in found["findings"] if item["what"] == what)


async def test_it_says_where_each_value_came_from(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world:
        world.configure({"policy": {"limits": {"max_add": {"BTC": "0.5"}}}})
        environ = {
            "LTV_GUARD_POLICY__ADD__TRIGGER_LTV": "0.77",
            "LTV_GUARD_WALLET": '{"reserve": {"BTC": "0.1"}}',
        }
        found = await checked(world, environ=environ)
        said = {item["key"]: (item["value"], item["source"], item["where"]) for item in found["settings"]}
        file = str(world.config_file)
        assert said["mode"] == ("live", "YAML file", file)
        assert said["policy.limits.max_add.BTC"] == ("0.5", "YAML file", file)
        variable = "LTV_GUARD_POLICY__ADD__TRIGGER_LTV"
        assert said["policy.add.trigger_ltv"] == ("0.77", "environment", variable)
        assert said["wallet.reserve.BTC"] == ("0.1", "environment", "LTV_GUARD_WALLET")
        assert said["policy.add.target_ltv"] == ("0.65", "default", None)
        secret = str(world.folder / "main.secret")
        assert said["accounts.main.api_secret"] == ("(hidden)", "secret file", secret)
        assert len(said) == len(found["settings"])
        key_file = finding(found, "accounts.main.api_key_file")
        assert key_file["found"].endswith("main.key, mode 0600")


async def test_people_see_what_was_written_and_how_many_keys_were_not(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world:
        status, said = await ran("check", "-c", world.config_file, environ=WIDE)
        assert status == 0
        (line,) = [line for line in said.lines if " exchange.recv_window_ms" in line]
        assert line.split()[1:4] == ["1000", "YAML", "file:"]
        assert any("other keys have their defaults" in line for line in said.lines)


async def test_no_secret_is_shown_from_wherever_it_came(open_a_world: OpenWorld) -> None:
    port = a_free_port()
    secrets = {
        "phone.url": f"json://user:{HUSH}-phone@127.0.0.1:{port}/{HUSH}/",
        "deadman.url": f"http://127.0.0.1:{port}/ping/{HUSH}-deadman",
        "http.token": f"{HUSH}-http-token",
    }
    async with open_a_world() as world:
        for name, text in secrets.items():
            (world.folder / name).write_text(text)
        world.configure(
            {
                "notify": {"targets": {"phone": {"url_file": "phone.url"}}},
                "deadman": {"url_file": "deadman.url"},
                "http": {"enabled": True, "port": port, "token_file": "http.token"},
            }
        )
        environ = {
            "LTV_GUARD_ACCOUNTS__OTHER": json.dumps(
                {"api_key": f"{HUSH}-key", "api_secret": f"{HUSH}-secret"}
            ),
            **WIDE,
        }
        for options in ((), ("--json",), ("--notify",)):
            _, said = await ran("check", "-c", world.config_file, *options, environ=environ)
            assert "accounts.other" in said.output
            assert all(word not in said.output for word in (HUSH, KEY, SECRET)), said.output
        found = json.loads(
            "".join((await ran("check", "-c", world.config_file, "--json", environ=environ))[1].lines)
        )
        hidden = {item["key"]: item["source"] for item in found["settings"] if item["value"] == "(hidden)"}
        assert hidden["accounts.other.api_secret"] == "environment"
        assert {key for key, source in hidden.items() if source == "secret file"} == {
            *("accounts.main.api_key", "accounts.main.api_secret", "deadman.url", "http.token"),
            "notify.targets.phone.url",
        }


async def test_a_wallet_that_a_fall_would_empty_is_told_how_much_is_missing(open_a_world: OpenWorld) -> None:
    async with open_a_world(scenario_of(users=POOR)) as world:
        status, said = await ran("check", "-c", world.config_file, environ=WIDE)
        assert status == 0  # it can run, and is told what would be better
        told = findings(said.lines)
        assert told["accounts.main: a fall of 20 %"][0] == "ok"
        mark, _, mend = told["accounts.main: a fall of 30 %"]
        # 30,000 USD on a BTC of 52,000: 0.5769 / 0.7 / 0.65 - 1 = 0.2680, of which 0.1 is there
        assert (mark, mend) == ("!", "0.168 BTC more in the Funding wallet survive a fall of 30 %")
        found = await checked(world)
        assert finding(found, "accounts.main: a fall of 30 %")["missing"] == {"BTC": "0.168"}
        assert finding(found, "accounts.main: a fall of 10 %")["missing"] == {}


async def test_what_is_reserved_saves_nobody(open_a_world: OpenWorld) -> None:
    async with open_a_world(config={"wallet": {"reserve": {"BTC": "4.9"}}}) as world:
        found = await checked(world)
        assert finding(found, "accounts.main: a fall of 30 %")["missing"] == {"BTC": "0.168"}


async def test_thresholds_are_held_against_the_terms_of_the_loan(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world:
        what = "accounts.main: thresholds, crypto_loan_legacy"
        good = finding(await checked(world), what)
        assert good["found"].startswith("1 loan: target 0.65 < trigger 0.75 < emergency 0.80 < margin call")
        assert good["mark"] == "ok"
        late = {"add": {"trigger_ltv": "0.93"}, "limits": {"emergency_ltv": "0.94"}}
        world.configure({"policy": late})
        bad = finding(await checked(world), what)
        assert (bad["mark"], "0.93" in bad["mend"], "lower them" in bad["mend"]) == ("!", True, True)
        assert "trigger 0.93" not in bad["found"]


async def test_a_variable_whose_name_is_misspelt_is_told_without_its_value(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world:
        status, said = await ran("check", "-c", world.config_file, environ={**WIDE, "LTVGUARD_MODE": HUSH})
        told = findings(said.lines)
        assert "accounts.main: loans" not in told  # there is one
        assert (status, told["environment"]) == (
            0,
            ("!", "LTVGUARD_MODE is not read", "did you mean LTV_GUARD_MODE?"),
        )
        assert HUSH not in said.output


async def test_where_there_is_no_loan_it_asks_for_the_right_account(open_a_world: OpenWorld) -> None:
    async with open_a_world(scenario_of(users={USER: {"funding": {"BTC": "1"}}})) as world:
        status, said = await ran("check", "-c", world.config_file, environ=WIDE)
        mark, found, mend = findings(said.lines)["accounts.main: loans"]
        assert (status, mark, found) == (0, "!", "there is none to guard, in crypto_loan_legacy")
        assert mend.startswith("is it the right account?")


async def test_what_the_key_may_do_is_said_in_words(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world:
        said = finding(await checked(world), "accounts.main")["found"]
        for words in ("read-write", "'Spot trade'", "can't withdraw", "bound to"):
            assert words in said


async def strangers_answer(_: web.Request) -> web.Response:
    return web.json_response({"version": "another's"})


async def test_a_free_port_our_own_daemon_and_a_stranger_are_told_apart(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world:
        world.configure({"http": {"enabled": True, "port": a_free_port()}})
        free = finding(await checked(world), "HTTP port")
        assert (free["mark"], "is free" in free["found"]) == ("ok", True)
        async with served(world):
            ours = finding(await checked(world), "HTTP port")
        assert (ours["mark"], "ltv-guard answers" in ours["found"]) == ("ok", True)
        strange = web.Application()
        strange.router.add_get("/{rest:.*}", strangers_answer)
        runner = web.AppRunner(strange)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", world.config["http"]["port"])
        await site.start()
        stranger = finding(await checked(world), "HTTP port")
        await runner.cleanup()
        assert (stranger["mark"], "http.port" in stranger["mend"]) == ("!", True)


async def test_a_daemon_of_another_journal_on_the_port_is_not_taken_for_its_own(
    open_a_world: OpenWorld,
) -> None:
    async with open_a_world() as world:
        world.configure({"http": {"enabled": True, "port": a_free_port()}})
        async with served(world):
            world.configure({"journal": {"url": "sqlite:///another.db"}})
            other = finding(await checked(world), "HTTP port")
    assert (other["mark"], "not of this journal" in other["mend"]) == ("!", True)


async def test_each_target_gets_a_test_message_only_where_it_is_asked_for(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world, a_box() as box:
        for name, port in (("phone", box.port), ("nobody", a_free_port())):
            (world.folder / name).write_text(f"json://127.0.0.1:{port}/secret-of-the-target/")
        world.configure({"notify": {"targets": {"phone": {"url_file": "phone"}}}})
        quiet = await checked(world)
        assert "phone (critical)" in finding(quiet, "notify.targets")["found"]
        assert not box.got
        good = await checked(world, "--notify")
        assert finding(good, "notify.targets.phone")["mark"] == "ok"
        assert box.titles == ["ltv-guard: a test"]
        world.configure({"notify": {"targets": {"other": {"url_file": "nobody"}}}})
        bad = await checked(world, "--notify")
        assert [finding(bad, f"notify.targets.{name}")["mark"] for name in ("phone", "other")] == ["ok", "no"]
        assert "secret-of-the-target" not in json.dumps(bad)


# TLS, as far as it can be had without the exchange: a server of this machine with a certificate of its own.


def certificate(folder: Path, days: int) -> ssl.SSLContext:
    """The server's context; the certificate is written beside its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "The test's own")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    kind = serialization.PrivateFormat.PKCS8
    pem = key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption())
    (folder / "tls.pem").write_bytes(pem + signed.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.pem")
    return context


@pytest.mark.parametrize(("days", "said"), [(90, ""), (2, "ends soon")])
async def test_whose_certificate_it_is_and_how_long_it_lasts_is_told(
    tmp_path: Path, days: int, said: str
) -> None:
    runner = web.AppRunner(web.Application())
    await runner.setup()
    port = a_free_port()
    await web.TCPSite(runner, "localhost", port, ssl_context=certificate(tmp_path, days)).start()
    trusting = ssl.create_default_context(cafile=str(tmp_path / "tls.pem"))
    try:
        found = await examine_tls(f"https://localhost:{port}", trusting)
        distrusting = await examine_tls(f"https://localhost:{port}")
    finally:
        await runner.cleanup()
    assert found.found.startswith("TLSv1.3, certificate of The test's own, good until 20")
    assert bool(found.mend) == bool(said)
    assert said in found.mend
    assert "could not be looked at" in distrusting.found
