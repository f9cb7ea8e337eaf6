"""A message to a phone, a chat or a mailbox, by Apprise. Blocks: for a thread. Its URL is a secret."""

from __future__ import annotations

import logging

import apprise

ANSWER_S = 60.0  # what was given up may have arrived, and would come twice: slow ones are waited for
WORDY = ("apprise", "urllib3")  # they may name the URL: the latter where an answer's headers are odd
KINDS = {"critical": "failure", "error": "failure", "warning": "warning", "info": "info"}


def send(url: str, title: str, body: str, level: str) -> bool:
    """Whether the service has taken it."""
    for library in WORDY:
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)
    # No storage: what it would keep on the disk holds parts of the URL.
    asset = apprise.AppriseAsset(storage_mode=apprise.PersistentStoreMode.MEMORY)
    target = apprise.Apprise(asset=asset)
    if not target.add(url):
        return False
    for server in target:
        server.socket_read_timeout = ANSWER_S
    return bool(target.notify(title=title, body=body, notify_type=KINDS[level], body_format="text"))
