"""What a request for a change asks for: its body, and the token. Odd bytes are no error of ours."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

from aiohttp.web_request import BaseRequest

Asked = dict[str, Any]


async def asked_of(request: BaseRequest) -> Asked:
    """The body, a form of the page or a JSON object; nothing is an empty one. Raises ValueError."""
    try:
        body = await request.text()
        asked = dict(parse_qsl(body)) if is_form(request) else json.loads(body or "{}")
    except Exception:  # noqa: BLE001 - whatever the libraries raise, it is for what was sent
        raise ValueError("the body can't be read") from None
    if not isinstance(asked, dict):
        raise ValueError(  # noqa: TRY004 - it is the request that is wrong
            'the body must be a JSON object, such as {"reason": "why"}'
        )
    return asked


def is_form(request: BaseRequest) -> bool:
    """Whether the page's form was sent."""
    return request.content_type == "application/x-www-form-urlencoded"


def token_of_header(request: BaseRequest) -> str:
    """The bearer token; empty where none was given."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else ""


def token_of_form(asked: Asked) -> str:
    """A form's field: like the header, nothing that a browser sends by itself."""
    return str(asked.get("token", "")).strip()
