"""A curve of the last 24 hours. Numbers in, SVG out: nothing in it was written by others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal

from ltv_guard.core.model.samples import ChartSample

DAY_MS = 86_400_000
BUCKET_MS = 300_000  # one point is drawn for each of these
GAP_MS = 15 * 60_000  # without a sample for so long the curve is broken: nobody looked
WIDTH, HEIGHT = 1000, 100  # of the curve, which is stretched to the room that it has
RIGHT = Decimal("0.985")  # the part of the room that it takes: the dot at its end needs the rest

Point = tuple[int, Decimal]
Line = tuple[str, str, Decimal]  # its class, its name, where it lies


def points_of(
    samples: Iterable[ChartSample], figure: Callable[[ChartSample], Decimal | None], now: Point
) -> tuple[Point, ...]:
    """The highest of each five minutes of the last day, and what is now."""
    highest: dict[int, Point] = {}
    for sample in samples:
        value = figure(sample)
        if value is None or not now[0] - DAY_MS <= sample.at_ms < now[0]:
            continue
        bucket = sample.at_ms // BUCKET_MS
        if bucket not in highest or value > highest[bucket][1]:
            highest[bucket] = (sample.at_ms, value)
    return (*highest.values(), now)


def chart(points: Sequence[Point], lines: Sequence[Line], colour: str, said: str) -> str:
    """The last point is now; a line's name stands on it. `said` is for those who do not see it."""
    lowest, top = _range([value for _, value in points], [at for _, _, at in lines])

    def y(value: Decimal) -> Decimal:
        return (top - value) / (top - lowest)

    now_ms, now = points[-1]
    drawn = "".join(_line(kind, y(at)) for kind, _, at in lines)
    curves = "".join(
        f'<polyline class="curve {colour}" points="{" ".join(_at(point, now_ms, y) for point in part)}"/>'
        for part in _parts(points)
    )
    names = "".join(
        f'<text class="name" x="0" y="{y(at) * 100:.2f}%" dy="-3">{name} {at:f}</text>'
        for _, name, at in lines
    )
    return (
        f'<svg class="chart" role="img" aria-label="{said}"><svg width="{RIGHT:%}" height="100%" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none">{drawn}{curves}</svg>{names}'
        f'<circle class="{colour}" cx="{RIGHT:%}" cy="{y(now) * 100:.2f}%" r="4"/></svg>'
    )


def _range(values: Sequence[Decimal], lines: Sequence[Decimal]) -> tuple[Decimal, Decimal]:
    """A little beyond all that is shown."""
    every = (*values, *lines)
    room = (max(every) - min(every)) / 8 or max(every) / 50 or Decimal(1)
    return min(every) - room, max(every) + room * (2 if lines else 1)


def _parts(points: Sequence[Point]) -> Iterator[Sequence[Point]]:
    begun = 0
    for at in range(1, len(points)):
        if points[at][0] - points[at - 1][0] > GAP_MS:
            yield points[begun:at]
            begun = at
    yield points[begun:]


def _at(point: Point, now_ms: int, y: Callable[[Decimal], Decimal]) -> str:
    at_ms, value = point
    return f"{(at_ms - now_ms + DAY_MS) * WIDTH / DAY_MS:.1f},{y(value) * HEIGHT:.2f}"


def _line(kind: str, y: Decimal) -> str:
    at = f"{y * HEIGHT:.2f}"
    return f'<line class="limit {kind}" x1="0" x2="{WIDTH}" y1="{at}" y2="{at}"/>'
