"""What deploy/ holds is what it must be, and the tools that read it take it, where they are installed."""

from __future__ import annotations

import configparser
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from deploy_files import (
    DEPLOY,
    METRIC,
    ROOT,
    RULES,
    Tree,
    documents,
    panels,
    queries,
    ran,
    rules,
    tool,
)
from http_world import served
from secret_files import write_secret

from ltv_guard.adapters import settings

if TYPE_CHECKING:
    from conftest import OpenWorld

OF_HISTOGRAMS = ("_bucket", "_count", "_sum")


def by_kind(kind: str) -> Tree:
    (found,) = (item for item in documents("kubernetes.yaml") if item["kind"] == kind)
    return found


# What rules and dashboard ask for.


async def test_every_metric_that_is_asked_for_is_one_that_a_running_guard_shows(
    open_a_world: OpenWorld,
) -> None:
    async with (
        open_a_world() as world,
        served(world, {"exchange": {"stream_url": world.stream_url}}) as asked,
    ):
        _, text = await asked.get("/metrics")
    lines = [line.split() for line in text.splitlines() if line.startswith("# TYPE ")]
    shown = {name for _, _, name, _ in lines}
    shown |= {name + end for _, _, name, kind in lines if kind == "histogram" for end in OF_HISTOGRAMS}
    for who, query in queries().items():
        assert {*METRIC.findall(query)} <= shown, who


def test_every_metric_that_the_runbook_lists_is_looked_at_by_a_rule_or_a_panel() -> None:
    asked = " ".join(queries().values())
    for name in (
        "ready",
        "alerts",
        "loan_ltv",
        "unsighted_seconds",
        "journal_usable",
        "breach_to_wire_seconds",
    ):
        assert f"ltv_guard_{name}" in asked


def test_every_rule_says_how_grave_it_is_what_to_do_and_where_the_runbook_has_more() -> None:
    runbook = (ROOT / "docs/operations.md").read_text().lower()
    for rule in rules():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"]["summary"].endswith((".", "}}.")), rule["alert"]
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert page.endswith("docs/operations.md")
        if anchor == "{{ $labels.event }}":  # each has a section: tests/app/test_event_catalogue.py
            continue
        assert f"# {anchor.replace('-', ' ')}" in runbook.replace("'", "").replace(",", ""), anchor


def test_every_rule_is_in_a_unit_test() -> None:
    tested = Path(__file__).with_name("prometheus_alerts.yaml").read_text()
    assert [rule["alert"] for rule in rules() if rule["alert"] not in tested] == []


def test_panels_do_not_overlap_and_ask_the_chosen_prometheus() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
    assert len({panel["id"] for panel in panels()}) == len(panels())


@pytest.mark.slow
def test_promtool_takes_the_rules_and_they_fire_when_they_should() -> None:
    promtool = tool("promtool")
    assert f"SUCCESS: {len(rules())} rules found" in ran(promtool, "check", "rules", RULES)
    assert "SUCCESS" in ran(promtool, "test", "rules", Path(__file__).with_name("prometheus_alerts.yaml"))


# Kubernetes.


def test_there_is_one_guard_at_a_time_and_it_has_time_to_end() -> None:
    deployment = by_kind("Deployment")["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    assert deployment["template"]["spec"]["terminationGracePeriodSeconds"] >= 15
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"].items() <= labels.items()


def test_the_pod_keeps_to_the_restricted_profile() -> None:
    """As kubernetes.io/docs/concepts/security/pod-security-standards has it."""
    assert by_kind("Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    pod = by_kind("Deployment")["spec"]["template"]["spec"]
    assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & pod.keys()
    assert {kind for item in pod["volumes"] for kind in item if kind != "name"} <= {
        *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected"),
        "secret",
    }
    inside = pod["securityContext"]
    assert (inside["runAsNonRoot"], inside["seccompProfile"]) == (True, {"type": "RuntimeDefault"})
    assert inside["runAsUser"] == inside["runAsGroup"] == inside["fsGroup"] == 10001
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not any("hostPort" in port for port in container["ports"])


def test_the_probes_ask_what_there_is_and_secrets_come_as_files(tmp_path: Path) -> None:
    pod = by_kind("Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {name: probe["path"] for name, probe in probes.items()} == {
        **dict.fromkeys(("startup", "liveness"), "/livez"),
        "readiness": "/readyz",
    }
    assert {probe["port"] for probe in probes.values()} == {"http"}
    assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)
    assert not {"env", "envFrom"} & container.keys()
    mounted = {item["name"]: item["mountPath"] for item in container["volumeMounts"]}
    volumes = {item["name"]: item for item in pod["volumes"]}
    assert mounted.keys() == volumes.keys()
    assert volumes["secrets"]["secret"]["defaultMode"] == 0o440
    written = by_kind("ConfigMap")["data"]["config.yaml"]
    here = written.replace(mounted["secrets"], str(tmp_path))
    assert here != written
    for name in ("bybit_api_key", "bybit_api_secret", "http_token"):
        write_secret(tmp_path / name, f"{name}-0123456789\n".replace("_", "-"))
    (tmp_path / "config.yaml").write_text(here)
    loaded = settings.load(tmp_path / "config.yaml")
    assert loaded.http.host == "0.0.0.0"  # noqa: S104 - the probes ask by the pod's address
    assert loaded.http.port == container["ports"][0]["containerPort"]


@pytest.mark.slow
def test_kubernetes_schemas_take_the_manifests() -> None:
    pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    said = ran(sys.executable, "-m", "kubernetes_validate", "--strict", DEPLOY / "kubernetes.yaml")
    assert said.count("passed for resource") == len(documents("kubernetes.yaml"))


# Compose, and systemd.


def test_the_composed_guard_may_write_its_volume_alone_and_is_seen_by_this_machine_alone() -> None:
    (tree,) = documents("compose.yaml")
    guard = tree["services"]["ltv-guard"]
    assert (guard["read_only"], guard["cap_drop"], guard["user"]) == (True, ["ALL"], "10001:10001")
    assert guard["security_opt"] == ["no-new-privileges:true"]
    assert int(guard["stop_grace_period"].rstrip("s")) >= 15
    assert all(port.startswith("127.0.0.1:") for port in guard["ports"])
    assert [item for item in guard["volumes"] if not item.endswith(":ro")] == ["journal:/var/lib/ltv-guard"]
    assert guard["secrets"] == [*tree["secrets"]]


def unit() -> dict[str, dict[str, list[str]]]:
    """A key may stand more than once."""
    read = configparser.RawConfigParser(strict=False, dict_type=Repeated, comment_prefixes=("#",))
    read.optionxform = str  # type: ignore[assignment, method-assign]
    read.read(DEPLOY / "ltv-guard.service")
    return {name: {key: value.split("\n") for key, value in read.items(name)} for name in read.sections()}


class Repeated(dict[str, object]):
    def __setitem__(self, key: str, value: object) -> None:
        if isinstance(value, list) and isinstance(self.get(key), list):
            value = [*self[key], *value]  # type: ignore[misc]
        super().__setitem__(key, value)


def test_the_unit_tells_systemd_what_it_needs_and_may_little() -> None:
    service = unit()["Service"]
    assert service["Type"] == ["notify"]
    assert service["Restart"] == ["always"]
    assert int(service["WatchdogSec"][0]) > float(
        settings.Settings.model_fields["watchdog"].default.stuck_after_s
    )
    assert int(service["TimeoutStopSec"][0]) >= 15
    assert [item.partition(":")[0] for item in service["LoadCredential"]] == [
        "bybit_api_key",
        "bybit_api_secret",
    ]
    assert service["ProtectSystem"] == ["strict"]
    assert service["CapabilityBoundingSet"] == [""]
    assert service["StateDirectory"] == ["ltv-guard"]


@pytest.mark.slow
def test_systemd_takes_the_unit_and_finds_it_well_shut_in(tmp_path: Path) -> None:
    analyze, here = tool("systemd-analyze"), tmp_path / "ltv-guard.service"
    there = (DEPLOY / here.name).read_text()
    here.write_text(there.replace("/opt/ltv-guard/bin/ltv-guard", "/bin/true"))  # it has to exist
    assert ran(analyze, "verify", here) == ""
    assert "OK" in ran(analyze, "security", "--offline=true", "--threshold=20", here)


def test_the_fleets_are_three_workers_that_may_write_nothing_but_the_journal() -> None:
    kinds = {item["kind"]: item for item in documents("kubernetes-fleet.yaml")}
    assert kinds["StatefulSet"]["spec"]["replicas"] == 3
    assert kinds["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1
    (config,) = (item for item in documents("kubernetes-fleet.yaml") if "config.yaml" in item.get("data", {}))
    written = config["data"]["config.yaml"]
    assert "fleet: {enabled: true" in written
    pod = kinds["StatefulSet"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert pod["terminationGracePeriodSeconds"] > 8

    (tree,) = documents("compose-fleet.yaml")
    workers = {name: item for name, item in tree["services"].items() if name != "postgres"}
    assert len(workers) == 3
    assert all(item["read_only"] and item["cap_drop"] == ["ALL"] for item in workers.values())
    assert len({item["ports"][0] for item in workers.values()}) == 3


def test_kubernetes_schemas_take_the_fleet() -> None:
    pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    said = ran(sys.executable, "-m", "kubernetes_validate", "--strict", DEPLOY / "kubernetes-fleet.yaml")
    assert said.count("passed for resource") == len(documents("kubernetes-fleet.yaml"))
