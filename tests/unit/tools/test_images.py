"""Images are built of what the Dockerfile says, by a client of Docker that can."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import images


def fake_docker(folder: Path, *, version: str, buildx: bool) -> Path:
    """Write a client of Docker that says its version, and has the plugin or not."""
    folder.mkdir()
    program = folder / "docker"
    program.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && {{ echo "Docker version {version}, build x"; exit 0; }}\n'
        f"exit {0 if buildx else 1}\n"
    )
    program.chmod(0o755)
    return program


def test_there_is_an_image_for_each_service_and_for_agents() -> None:
    services = [path.name for path in (images.ROOT / "services").iterdir() if (path / "pyproject.toml").exists()]
    assert sorted(images.names()) == sorted(["agent", *services])


def test_an_image_needs_every_member_of_the_workspace_to_resolve_its_packages() -> None:
    text = images.DOCKERFILE.read_text(encoding="utf-8")
    members = [path.parent.relative_to(images.ROOT) for path in images.ROOT.glob("*/*/pyproject.toml")]
    missing = [str(each) for each in members if f"COPY {each}/pyproject.toml {each}/" not in text]
    assert not missing, f"the Dockerfile's stage `workspace` lacks {missing}"


@pytest.mark.parametrize(
    ("clients", "chosen"),
    [
        ([("28.2.2", False), ("20.10.24", False)], 1),
        ([("28.2.2", True), ("20.10.24", False)], 0),
        ([("22.0.1", False)], 0),
    ],
    ids=["the older one has it built in", "the newer one has the plugin", "the last with it built in"],
)
def test_the_first_client_with_buildkit_is_taken(
    clients: list[tuple[str, bool]], chosen: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = [
        fake_docker(tmp_path / str(number), version=version, buildx=buildx)
        for number, (version, buildx) in enumerate(clients)
    ]
    monkeypatch.setenv("PATH", ":".join(str(each.parent) for each in programs))
    assert images.client() == str(programs[chosen])


def test_no_client_with_buildkit_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(fake_docker(tmp_path / "bin", version="28.2.2", buildx=False).parent))
    with pytest.raises(images.NoBuilderError, match="docker-buildx"):
        images.client()


def test_what_the_machine_needs_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERCIO_BASE_IMAGE", "base:1")
    monkeypatch.setenv("TERCIO_BUILD_NETWORK", "host")
    monkeypatch.setenv("TERCIO_IMAGES", "registry.example.org/tercio")
    monkeypatch.setenv("SSL_CERT_FILE", "/certificates.crt")
    command = images.command("docker", "agent")
    assert "BASE=base:1" in command
    assert "host" in command
    assert "id=certificates,src=/certificates.crt" in command
    assert f"registry.example.org/tercio/agent:{images.version()}" in command
