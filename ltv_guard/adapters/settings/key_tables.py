"""The keys about loans, as pages show them: `python -m ltv_guard.adapters.settings.key_tables` in a checkout.

That is the tables of `policy`, `wallet` and `sources` in docs/configuration.md, and the same sections of
config/ltv_guard.yaml. Names, defaults, kinds and meanings are those of `rule_sections` and `wallet_sections`.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from ltv_guard.adapters.settings.keys import fields_of
from ltv_guard.adapters.settings.rule_sections import Policy
from ltv_guard.adapters.settings.values import amount, coin, count, duration, interval, ltv, notice, ratio
from ltv_guard.adapters.settings.wallet_sections import Sources, Wallet

PAGE, EXAMPLE = Path("docs/configuration.md"), Path("config/ltv_guard.yaml")
SECTIONS: Mapping[str, BaseModel] = {"policy": Policy(), "wallet": Wallet(), "sources": Sources()}
BEGIN, END = "made from ltv_guard/adapters/settings by `make docs`", "end of what is made"
WIDTH = 118

_KINDS: Mapping[Any, str] = {
    ltv: "LTV",
    ratio: "ratio",
    amount: "amount",
    duration: "duration",
    interval: "interval",
    notice: "interval",
    count: "1 or more",
    coin: "coin",
}


def with_tables(page: str) -> str:
    """docs/configuration.md with the table of each section renewed."""
    for name, section in SECTIONS.items():
        begin, end = f"<!-- {name}: {BEGIN} -->\n", "<!-- " + END + " -->\n"
        page = _replaced(page, begin, end, _table(section))
    return page


def with_sections(example: str) -> str:
    """config/ltv_guard.yaml with the sections renewed."""
    sections = "\n".join(f"{_header(name, section)}{_body(section)}" for name, section in SECTIONS.items())
    return _replaced(example, f"# {BEGIN.capitalize()}:\n\n", f"\n# {END.capitalize()}.\n", sections)


def _replaced(text: str, begin: str, end: str, what: str) -> str:
    """Raises ValueError where the text has no such place."""
    before, after = text.index(begin) + len(begin), text.index(end, text.index(begin))
    return text[:before] + what + text[after:]


def _table(section: BaseModel) -> str:
    rows = [
        (f"`{'.'.join(path)}`", f"`{_written(value)}`", _kind(field.annotation, field.metadata), _says(field))
        for path, field, value in _keys(section)
    ]
    lines = (f"| {' | '.join(row)} |\n" for row in rows)
    return "| key | default | kind | meaning |\n|---|---|---|---|\n" + "".join(lines)


def _keys(section: BaseModel, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], FieldInfo, Any]]:
    """Each key with a value of its own: its path, what the model says of it, its default."""
    for name, field in fields_of(type(section)).items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _keys(value, (*path, name))
        else:
            yield (*path, name), field, value


def _header(name: str, section: BaseModel) -> str:
    return f"{_comment(type(section).__doc__ or '')}{name}:\n"


def _body(section: BaseModel, indent: str = "  ") -> str:
    lines = ""
    for name, field in fields_of(type(section)).items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            lines += f"{indent}{name}:\n{_body(value, indent + '  ')}"
        else:
            lines += f"{_comment(_plain(_says(field)), indent)}{indent}{name}: {_written(value)}\n"
    return lines


def _comment(text: str, indent: str = "") -> str:
    begun = f"{indent}# "
    return "".join(f"{begun}{line}\n" for line in textwrap.wrap(text, WIDTH - len(begun)))


def _says(field: FieldInfo) -> str:
    """What the key means. Raises ValueError where nobody has said it."""
    if field.description is None:
        raise ValueError(f"a key of {field.annotation} has no description")
    return field.description


def _plain(markdown: str) -> str:
    """Without links and backquotes."""
    return re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", markdown).replace("`", "")


def _written(value: object) -> str:
    """A default as YAML has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return format(value, "f")
    return f"[{', '.join(map(_written, value))}]" if isinstance(value, tuple) else str(value)


def _kind(annotation: Any, marks: Any = ()) -> str:  # noqa: ANN401 - a type, and what stands beside it
    for mark in marks:
        if isinstance(mark, BeforeValidator):
            return _KINDS[mark.func]
    if get_origin(annotation) is Annotated:
        inner, *marks = get_args(annotation)
        return _kind(inner, marks)
    if get_origin(annotation) is dict:
        return " to ".join(map(_kind, get_args(annotation)))
    return "`true`, `false`" if annotation is bool else f"list of {_kind(get_args(annotation)[0])}s"


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text()))
    EXAMPLE.write_text(with_sections(EXAMPLE.read_text()))
