"""Builds the image without a daemon and runs it as one would: buildah on a base made by debootstrap.

Needs root, both programs and a registry of packages. `LTV_GUARD_BASE` names a folder with such a base, to be
used instead.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from deploy_files import ROOT

SUITE, MIRROR = "trixie", "http://deb.debian.org/debian"
INCLUDED = "python3,python3-venv,ca-certificates"
UNREACHABLE = ("Could not fetch", "NewConnectionError", "Temporary failure", "No matching distribution")
# In namespaces of its own: a root that can't be written to, a volume, a /tmp, and the user of the image.
ENTER = """
set -e
root=$1 volume=$2 etc=$3 user=$4; shift 4
mount --bind "$root" "$root"
mount -o remount,ro,bind "$root"
mount -t tmpfs -o mode=1777,size=16m tmpfs "$root/tmp"
mount --bind "$volume" "$root/var/lib/ltv-guard"
mount --bind "$etc" "$root/etc/ltv-guard"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
exec chroot --userspec="$user" "$root" /usr/bin/env -i "$@"
"""


def needs(*names: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("making an image without a daemon needs root")
    for name in names:
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")


def base(folder: Path) -> Path:
    """A folder with Debian and its python3."""
    if (made := os.environ.get("LTV_GUARD_BASE")) is not None:
        return Path(made)
    made_here = folder / "base"
    command = ("debootstrap", "--variant=minbase", f"--include={INCLUDED}", SUITE, made_here, MIRROR)
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no base could be made, debootstrap says: {done.stdout[-200:]}")
    return made_here


@dataclass(frozen=True)
class Buildah:
    folder: Path

    def __call__(self, *arguments: object) -> str:
        options = (
            "--root",
            self.folder / "store",
            "--runroot",
            self.folder / "run",
            "--storage-driver",
            "vfs",
        )
        done = subprocess.run(
            ["buildah", *map(str, options), *map(str, arguments)], capture_output=True, text=True, check=False
        )
        said = done.stdout + done.stderr
        if done.returncode != 0 and any(words in said for words in UNREACHABLE):
            pytest.skip(f"the packages can't be had: {said[-300:]}")
        assert done.returncode == 0, said[-3000:]
        return done.stdout.strip()


@dataclass(frozen=True)
class Image:
    """What was built: its settings, and its files as they lie on the disk."""

    config: Mapping[str, Any]
    root: Path
    volume: Path
    etc: Path
    size: int

    @property
    def log(self) -> Path:
        """What it says while it runs. A file, so that no pipe is ever full."""
        return self.etc.parent / "log"

    def command(self, *arguments: str) -> list[str]:
        enter = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", ENTER, "sh")
        places = (str(self.root), str(self.volume), str(self.etc), self.config["User"])
        return [*enter, *places, *self.config["Env"], *arguments]

    def run(self, *arguments: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        """As `docker run --entrypoint`, until it ends."""
        command = self.command(*arguments)
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[str]]:
        """As `docker run` does it, with the image's own entry point and command, as process 1."""
        command = self.command(*self.config["Entrypoint"], *self.config["Cmd"])
        with self.log.open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, text=True)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def stop(process: subprocess.Popen[str]) -> None:
    """SIGTERM to process 1 of the container: the one child of what entered it."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGTERM)


def _clear(folder: Path) -> None:
    """Lets go of what was built: a gigabyte."""
    if (folder / "store").exists():
        Buildah(folder)("umount", "--all")
    for name in ("store", "base"):
        shutil.rmtree(folder / name, ignore_errors=True)


@contextmanager
def built(folder: Path) -> Iterator[Image]:
    """The image of this checkout; skips the test where it can't be built."""
    needs("buildah", "debootstrap", "unshare")
    try:
        yield _build(folder)
    finally:
        _clear(folder)


def _build(folder: Path) -> Image:
    buildah, secrets = Buildah(folder), _secrets(folder)
    container = buildah("from", "scratch")
    buildah("add", "--quiet", container, base(folder), "/")
    buildah("commit", "--quiet", "--rm", container, "localhost/python")
    options = ("--isolation", "chroot", "--format", "docker", "--layers=false", *secrets)
    arguments = ("--build-arg", "PYTHON_IMAGE=localhost/python", "--build-arg", "VERSION=of-a-test")
    buildah("build", "--quiet", *options, *arguments, "--tag", "ltv-guard", ROOT)
    inspected = json.loads(buildah("inspect", "--type", "image", "localhost/ltv-guard"))
    root = Path(buildah("mount", buildah("from", "localhost/ltv-guard")))
    for name in ("etc/ltv-guard", "proc", "dev", "tmp"):  # as a runtime does for what it mounts
        (root / name).mkdir(parents=True, exist_ok=True)
    config = inspected["Docker"]["config"]
    user, group = map(int, config["User"].split(":"))
    for name in ("volume", "etc"):
        (folder / name).mkdir()
        os.chown(folder / name, user, group)
    size = sum(item.lstat().st_size for item in (root / "opt/ltv-guard").rglob("*"))
    return Image(config, root, folder / "volume", folder / "etc", size)


def _secrets(folder: Path) -> list[str]:
    """As docs/container.md says for a proxy that breaks TLS open: what this machine's pip goes by."""
    authority = next(filter(None, map(os.environ.get, ("PIP_CERT", "SSL_CERT_FILE"))), None)
    if authority is None:
        return []
    (folder / "pip.conf").write_text("[global]\ncert = /run/ca.pem\n")
    return ["--secret", f"id=pip.conf,src={folder / 'pip.conf'}", "--secret", f"id=ca.pem,src={authority}"]
