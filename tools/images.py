"""Builds the container images, each from its target of deploy/images/Dockerfile.

Why not `docker build` alone: the Dockerfile needs BuildKit, which a client of Docker has built in up to version 22 and
as the plugin buildx from 23 on; a machine may have several clients. It needs only the standard library.

    python tools/images.py                  every image, as tercio/NAME:VERSION
    python tools/images.py agent scaling    only these

    TERCIO_BASE_IMAGE      the image to build on, where the public one cannot be pulled
    TERCIO_BUILD_NETWORK   `host` where names resolve only on the machine's own network
    TERCIO_IMAGES          what images are called before their name; by default tercio
    SSL_CERT_FILE          certificates for package registries; not kept in an image
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE = ROOT / "deploy/images/Dockerfile"
_CHART = ROOT / "deploy/helm/tercio/Chart.yaml"
_BUILDX_FROM = 23


class NoBuilderError(Exception):
    """No client of Docker on this machine can build the images."""


def names() -> list[str]:
    """Return the images that there are: the targets that end with something to run."""
    stages = re.split(r"^FROM ", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return [stage.split()[2] for stage in stages if "\nENTRYPOINT " in stage]


def version() -> str:
    """Return the version that images carry as their tag: the one that the chart asks for."""
    found = re.search(r'^appVersion: "(.+)"$', _CHART.read_text(encoding="utf-8"), flags=re.MULTILINE)
    if found is None:
        raise NoBuilderError(f"{_CHART} has no appVersion")
    return found[1]


def client() -> str:
    """Return the first client of Docker on PATH that has BuildKit.

    Raises:
        NoBuilderError: there is none.
    """
    for folder in os.get_exec_path():
        program = Path(folder, "docker")
        if os.access(program, os.X_OK) and _has_buildkit(str(program)):
            return str(program)
    raise NoBuilderError("no docker on PATH has BuildKit: install docker-buildx, or a Docker with it")


def _has_buildkit(program: str) -> bool:
    if _succeeds(program, "buildx", "version"):
        return True
    shown = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"version (\d+)", shown)
    return found is not None and int(found[1]) < _BUILDX_FROM


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def command(program: str, image: str) -> list[str]:
    """Return the command that builds one image."""
    built = [program, "build", "--file", str(DOCKERFILE), "--target", image]
    if base := os.environ.get("TERCIO_BASE_IMAGE"):
        built += ["--build-arg", f"BASE={base}"]
    if network := os.environ.get("TERCIO_BUILD_NETWORK"):
        built += ["--network", network]
    if certificates := os.environ.get("SSL_CERT_FILE"):
        built += ["--secret", f"id=certificates,src={certificates}"]
    prefix = os.environ.get("TERCIO_IMAGES", "tercio")
    return [*built, "--quiet", "--tag", f"{prefix}/{image}:{version()}", str(ROOT)]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    known = names()
    parser = argparse.ArgumentParser(description="Build the container images.")
    parser.add_argument("image", nargs="*", help=f"of {', '.join(known)}; all by default")
    wanted = parser.parse_args(arguments).image or known
    if unknown := set(wanted) - set(known):
        parser.error(f"no such image: {', '.join(sorted(unknown))}")
    try:
        program = client()
        for image in wanted:
            built = command(program, image)
            environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
            if subprocess.run(built, env=environment, check=False, stdout=subprocess.DEVNULL).returncode:
                return 1
            print(built[-2], flush=True)
    except NoBuilderError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
