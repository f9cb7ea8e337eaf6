"""A dead man's switch over HTTP, by the protocol of healthchecks.io: who hears nothing raises the alarm."""

from __future__ import annotations

import aiohttp
from yarl import URL

from ltv_guard import __version__

TIMEOUT_S = 10.0
MANY = 300  # from here on a status is no success


class DeadmanUrl:
    """Its URL is a secret, so nothing that is returned or raised here holds any of it."""

    def __init__(self, url: str) -> None:
        self._url = URL(url)

    async def alive(self) -> str | None:
        """All is well. None, or why it was not heard."""
        return await self._tell(self._url)

    async def starts(self) -> str | None:
        """A run begins. Returns as `alive`."""
        return await self._tell(self._url / "start")

    async def fails(self, why: str) -> str | None:
        """All is not well. Returns as `alive`."""
        return await self._tell(self._url / "fail", why)

    async def _tell(self, url: URL, body: str = "") -> str | None:
        try:
            async with (
                aiohttp.ClientSession(
                    timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
                    connector=aiohttp.TCPConnector(force_close=True),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    headers={"User-Agent": f"ltv-guard/{__version__}"},
                ) as session,
                session.post(url, data=body.encode(), allow_redirects=False) as answer,
            ):
                return (
                    None if answer.ok and answer.status < MANY else f"it answered with HTTP {answer.status}"
                )
        except TimeoutError:
            return f"no answer within {TIMEOUT_S:g} s"
        except Exception as error:  # noqa: BLE001 - whatever it is, it costs this signal and no more
            return f"it can't be reached ({type(error).__name__})"
