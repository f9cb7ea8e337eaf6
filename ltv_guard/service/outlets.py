"""What the settings say of the outlets of a daemon: where it is heard, by whom, and how often."""

from __future__ import annotations

from ltv_guard.adapters.settings import Settings
from ltv_guard.service.deadman import Post
from ltv_guard.service.notify.desk import Orders
from ltv_guard.service.web import Listens


def post_of(settings: Settings) -> Post:
    """Where a dead man's switch is told, and how often (s)."""
    deadman = settings.deadman
    url = deadman.url.get_secret_value() if deadman.url is not None else None
    return Post(url=url, interval_s=float(deadman.interval_s))


def listens_of(settings: Settings) -> Listens:
    """Where HTTP is answered, and by which token something may be changed."""
    http = settings.http
    token = http.token.get_secret_value() if http.token is not None else None
    return Listens(host=http.host if http.enabled else None, port=http.port, token=token)


def orders_of(settings: Settings) -> Orders:
    """Which targets are told from which level on, and when again (s)."""
    notify = settings.notify
    return Orders(
        targets={name: (item.url.get_secret_value(), item.level) for name, item in notify.targets.items()},
        repeat_s=float(notify.repeat_s),
        digest_at=notify.digest_minute,
    )
