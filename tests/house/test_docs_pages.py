"""The pages say what the program does: generated ones are fresh, lists are complete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from ftpgateway.cli import reference
from ftpgateway.ftp.replies import refusal
from ftpgateway.node.config.sections import settings
from ftpgateway.serving.refusals import Doing
from raftstore import errors
from raftstore.rights import ROLES

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", sorted(reference.pages()))
def test_generated_pages_are_fresh(name: str) -> None:
    fresh = reference.pages()[name]
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == fresh, "run `make docs`"


def test_every_role_is_described() -> None:
    text = (ROOT / "docs" / "users.md").read_text(encoding="utf-8")
    for role, letters in ROLES.items():
        assert f"| {role} | {letters} |".replace("|  |", "| |") in text


def test_every_reply_code_of_a_store_error_is_described() -> None:
    text = (ROOT / "docs" / "ftp.md").read_text(encoding="utf-8")
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.StoreError)
    ]
    codes = {refusal(kind("x"), doing)[:3] for kind in kinds for doing in Doing}
    table = text[text.index("## Reply codes") :]
    assert codes <= set(re.findall(r"\b\d{3}\b", table))


def test_the_compose_file_names_settings_that_exist() -> None:
    compose = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text(encoding="utf-8"))
    known = {setting.environment for setting in settings()} | {"PIXRAFT_CONFIG"}
    for name, service in compose["services"].items():
        ours = service["image"] == "pixraft"
        assert set(service.get("environment", {})) <= known or not ours, name
        # What is only looked at is not started unless it is asked for.
        assert ours is ("profiles" not in service), name
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            there = (
                (ROOT / "docker" / source).exists() if source.startswith("./") else source in compose["volumes"]
            )
            assert there, (name, source)
    published = [str(port) for service in compose["services"].values() for port in service.get("ports", [])]
    assert len(published) == len({port.rsplit(":", 1)[0] for port in published})


def test_the_image_holds_what_it_copies() -> None:
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    text = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")
    for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert f"!{source}" in ignore, source
