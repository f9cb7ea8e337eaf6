"""A headless Chromium, driven over its DevTools protocol. Skipped where none is installed."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
)


@dataclass
class Page:
    """One tab. `asked`: every URL that it has asked for; `complaints`: what its console was told."""

    socket: aiohttp.ClientWebSocketResponse
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    _number: int = 0

    async def call(self, method: str, **params: Any) -> Any:  # noqa: ANN401 - the protocol's JSON
        self._number += 1
        await self.socket.send_json({"id": self._number, "method": method, "params": params})
        while True:
            said = json.loads((await self.socket.receive(timeout=30)).data)
            self._hear(said)
            if said.get("id") == self._number:
                return said["result"]

    async def value(self, script: str) -> Any:  # noqa: ANN401 - whatever the script comes to
        found = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        return found["result"].get("value")

    async def until(self, script: str, *, within_s: float = 30) -> None:
        async with asyncio.timeout(within_s):
            while not await self.value(script):  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.1)

    async def open(self, url: str) -> None:
        await self.call("Page.navigate", url=url)
        await self.until("document.readyState === 'complete' && !!document.querySelector('main')")

    async def size(self, width: int, height: int) -> None:
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 500,
        )

    async def scheme(self, name: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": name}]
        await self.call("Emulation.setEmulatedMedia", features=features)

    async def picture(self, path: Path) -> None:
        found = await self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(found["data"]))  # noqa: ASYNC240 - a test may wait

    async def pictures(self, folder: Path) -> None:
        """Light, dark, and on a phone, where nothing may stick out."""
        await self.call("Emulation.setScrollbarsHidden", hidden=True)
        await self.size(1000, 1240)
        for scheme in ("light", "dark"):
            await self.scheme(scheme)
            await self.picture(folder / f"page-{scheme}.png")
        await self.scheme("light")
        await self.size(390, 1500)
        assert await self.value("document.documentElement.scrollWidth") <= 390
        await self.picture(folder / "page-narrow.png")
        await self.size(1000, 900)

    async def text(self) -> str:
        """What it holds, for a page whose scripts do not run."""
        tree = await self.call("DOM.getDocument")
        found = await self.call("DOM.getOuterHTML", nodeId=tree["root"]["nodeId"])
        html: str = found["outerHTML"]
        return html

    async def type_and_press(self, field: str, text: str, button: str) -> None:
        """As a person does it, for a page whose scripts do not run."""
        for selector in (field, button):
            tree = await self.call("DOM.getDocument")
            found = await self.call("DOM.querySelector", nodeId=tree["root"]["nodeId"], selector=selector)
            await self.call("DOM.scrollIntoViewIfNeeded", nodeId=found["nodeId"])
            box = (await self.call("DOM.getBoxModel", nodeId=found["nodeId"]))["model"]["content"]
            at = {"x": (box[0] + box[2]) / 2, "y": (box[1] + box[5]) / 2, "button": "left", "clickCount": 1}
            for kind in ("mousePressed", "mouseReleased"):
                await self.call("Input.dispatchMouseEvent", type=kind, **at)
            if selector == field:
                await self.call("Input.insertText", text=text)

    def _hear(self, said: dict[str, Any]) -> None:
        params = said.get("params", {})
        if said.get("method") == "Network.requestWillBeSent":
            self.asked.append(params["request"]["url"])
        if said.get("method") in {"Log.entryAdded", "Runtime.exceptionThrown"}:
            self.complaints.append(json.dumps(params))


@asynccontextmanager
async def a_page(folder: Path) -> AsyncIterator[Page]:
    process = await asyncio.create_subprocess_exec(
        *(str(CHROMIUM), *FLAGS, f"--user-data-dir={folder / 'browser'}", "about:blank"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        port = folder / "browser/DevToolsActivePort"
        async with asyncio.timeout(60):
            while not port.exists() or not port.read_text().strip():  # noqa: ASYNC110 - the same
                await asyncio.sleep(0.1)
        address = f"http://127.0.0.1:{port.read_text().split()[0]}"
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{address}/json/list") as answer:
                tabs = await answer.json()
            tab = next(item for item in tabs if item["type"] == "page")
            async with session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                page = Page(socket)
                for domain in ("Page", "Network", "Log", "Runtime"):
                    await page.call(f"{domain}.enable")
                yield page
    finally:
        process.kill()
        await process.wait()
