"""Foreign text as people may see it: what would steer a terminal or turn the reading order is escaped. Pure.

Loan ids, coins, an exchange's messages and the reasons of pauses are written by others.
"""

from __future__ import annotations

import json
import unicodedata
from typing import Any

# Controls, marks of direction, surrogates, what is assigned to nobody, separators of lines and paragraphs.
_HARMFUL = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_LONGEST_IN_FOUR = 0xFFFF


def clean(text: str) -> str:
    r"""The text on one line, harmless to show: `\u001b` for an escape, `\u202e` for a turn to the left."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        _escaped(letter) if unicodedata.category(letter) in _HARMFUL else letter for letter in text
    )


def as_json(value: object, **how: Any) -> str:  # noqa: ANN401 - arguments of json.dumps
    """JSON in which nothing steers a terminal: the one control that JSON lets stand is escaped too."""
    return json.dumps(value, **how).replace("\x7f", "\\u007f")


def _escaped(letter: str) -> str:
    number = ord(letter)
    return f"\\u{number:04x}" if number <= _LONGEST_IN_FOUR else f"\\U{number:08x}"
