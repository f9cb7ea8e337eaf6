"""Each file of deploy/ is what it says: its parts refer to one another, to commands and keys that exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
import pytest
import yaml
from deploy_files import DEPLOY, Tree, documents
from secret_files import write_secret

from ltv_guard.adapters import settings
from ltv_guard.adapters.settings.environment import read_environment
from ltv_guard.adapters.settings.keys import Place, fields_of, fit
from ltv_guard.cli.main import COMMANDS

COMPOSED = sorted(path.name for path in DEPLOY.glob("compose*.yaml"))
CLUSTERED = sorted(path.name for path in DEPLOY.glob("kubernetes*.yaml"))
SECRETS = {
    "journal_url": "postgresql://somebody:secret@postgres/ltv_guard",
    "http_token": "a-token-of-sixteen-and-more",
}
SNIPPET = re.compile(r"`([a-z_]+: [^`]+)`")


def workload(name: str) -> Tree:
    (found,) = (item for item in documents(name) if item["kind"] in {"Deployment", "StatefulSet"})
    return found


def pod(name: str) -> Tree:
    return workload(name)["spec"]["template"]["spec"]


def named(name: str, kind: str) -> dict[str, Tree]:
    return {item["metadata"]["name"]: item for item in documents(name) if item["kind"] == kind}


def is_a_command(arguments: list[str]) -> bool:
    """Whether the program takes them. Raises click's UsageError where it does not."""
    assert arguments[0] in COMMANDS
    command = import_module(f"ltv_guard.cli.{arguments[0]}").command
    command.make_parser(click.Context(command)).parse_args(arguments[1:])
    return True


def test_there_are_files_of_each_kind() -> None:
    assert (len(COMPOSED), len(CLUSTERED)) == (2, 2)


# Compose.


@pytest.mark.parametrize("name", COMPOSED)
def test_what_a_service_of_compose_uses_is_declared(name: str) -> None:
    (tree,) = documents(name)
    folders = set()
    for service in tree["services"].values():
        assert {*service.get("secrets", ())} <= tree["secrets"].keys()
        assert {*service.get("depends_on", ())} <= tree["services"].keys()
        folders |= {item.partition(":")[0] for item in service["volumes"] if item[0] not in "./"}
    assert folders == tree["volumes"].keys()
    used = {secret for service in tree["services"].values() for secret in service.get("secrets", ())}
    assert used == tree["secrets"].keys()


@pytest.mark.parametrize("name", COMPOSED)
def test_commands_and_variables_of_compose_exist(name: str) -> None:
    (tree,) = documents(name)
    for service in tree["services"].values():
        if service["image"] == "ltv-guard":
            command = service.get("command", ["run"])
            assert is_a_command(shlex.split(command) if isinstance(command, str) else command)
            read_environment(settings.Settings, service.get("environment", {}))


# Kubernetes.


@pytest.mark.parametrize("name", CLUSTERED)
def test_the_parts_of_a_pod_refer_to_one_another(name: str) -> None:
    (container,) = pod(name)["containers"]
    volumes = {item["name"]: item for item in pod(name)["volumes"]}
    assert {item["name"] for item in container["volumeMounts"]} == volumes.keys()
    maps = named(name, "ConfigMap")
    mounted = [
        source for item in volumes.values() for source in item.get("projected", {}).get("sources", [item])
    ]
    assert {item["configMap"]["name"] for item in mounted if "configMap" in item} == maps.keys()
    ports = {item["name"] for item in container["ports"]}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] in ports


@pytest.mark.parametrize("name", CLUSTERED)
def test_selectors_find_the_pods_and_all_is_in_one_namespace(name: str) -> None:
    labels = workload(name)["spec"]["template"]["metadata"]["labels"]
    for item in documents(name):
        assert item["metadata"].get("namespace", "ltv-guard") == "ltv-guard"
        selector = item.get("spec", {}).get("selector", {})
        assert selector.get("matchLabels", selector).items() <= labels.items()
    assert workload(name)["spec"].get("serviceName", "ltv-guard") == "ltv-guard"


@pytest.mark.parametrize("name", CLUSTERED)
def test_the_command_of_a_pod_exists_and_reads_the_mounted_configuration(name: str) -> None:
    (container,) = pod(name)["containers"]
    assert is_a_command(container["args"])
    mounts = {item["mountPath"]: item["name"] for item in container["volumeMounts"]}
    path = Path(container["args"][container["args"].index("-c") + 1])
    volume = next(item for item in pod(name)["volumes"] if item["name"] == mounts[str(path.parent)])
    assert path.name in named(name, "ConfigMap")[volume["configMap"]["name"]]["data"]


def mounted_here(name: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """Lays down what each volume holds, as far as that is said: where it is mounted, and where it lies."""
    volumes = {item["name"]: item for item in pod(name)["volumes"]}
    maps = named(name, "ConfigMap")
    for mount in pod(name)["containers"][0]["volumeMounts"]:
        here = folder / mount["name"]
        here.mkdir()
        volume = volumes[mount["name"]]
        for source in volume.get("projected", {}).get("sources", [volume]):
            if "configMap" in source:
                for file, text in maps[source["configMap"]["name"]]["data"].items():
                    (here / file).write_text(text)
        yield mount["mountPath"], here


@pytest.mark.parametrize("name", CLUSTERED)
def test_the_configuration_inside_loads_with_the_secrets_that_its_head_asks_for(
    name: str, tmp_path: Path
) -> None:
    mounts = dict(mounted_here(name, tmp_path))
    where = {path: str(here) for path, here in mounts.items()}
    asked = re.findall(r"--from-file=(\w[\w.]*)", (DEPLOY / name).read_text())
    for here in mounts.values():
        if here.name in {"secrets", "accounts"}:
            for secret in asked:
                write_secret(here / secret, SECRETS.get(secret, f"{secret}-0123456789"))
        for file in here.glob("*.yaml"):
            text = file.read_text()
            places = "|".join(re.escape(path) for path in where)
            text = re.sub(rf"(?<= )({places})(?=[/\s,}}])", lambda found: where[found[1]], text)
            file.write_text(text)
    config = mounts["/etc/ltv-guard"] / "config.yaml"

    loaded = settings.load(config, environ={})

    assert loaded.accounts
    assert loaded.odd_accounts == ()
    assert loaded.http.port == pod(name)["containers"][0]["ports"][0]["containerPort"]
    assert loaded.fleet.enabled == ("fleet" in name)


# What is said in them.


def test_the_command_of_the_unit_exists() -> None:
    unit = (DEPLOY / "ltv-guard.service").read_text()
    (line,) = re.findall(r"^ExecStart=\S+/ltv-guard (.+)$", unit, re.MULTILINE)
    assert is_a_command(shlex.split(line))


@pytest.mark.parametrize("name", [*COMPOSED, *CLUSTERED])
def test_settings_in_comments_are_keys_that_exist(name: str) -> None:
    comments = " ".join(
        line.strip().lstrip("# ")
        for line in (DEPLOY / name).read_text().splitlines()
        if line.strip().startswith("#")
    )
    for snippet in SNIPPET.findall(comments):
        tree = yaml.safe_load(snippet)
        if tree.keys() <= fields_of(settings.Settings).keys():
            fit(settings.Settings, tree, Place())
        else:
            assert tree.keys() <= {"restart"}, snippet


@pytest.mark.parametrize("name", [*COMPOSED, *CLUSTERED])
def test_pages_that_they_name_exist(name: str) -> None:
    for page in re.findall(r"\b((?:docs|config|deploy)/[\w/-]+\.(?:md|yaml))\b", (DEPLOY / name).read_text()):
        assert (DEPLOY.parent / page).exists(), page
