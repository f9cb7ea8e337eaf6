"""What Prometheus reads off a page of metrics."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families


def figures(text: str) -> dict[tuple[str, ...], float]:
    """Name and label values -> figure; labels in the order of their names."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
