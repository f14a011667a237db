"""A configuration file as text, each key with its description. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from ftpgateway.node.config.sections import ADMIN_SECTIONS, NODE_SECTIONS, settings
from raftstore.util.settings import kinds
from raftstore.util.settings.kinds import Member


def render(values: Mapping[str, Mapping[str, object]], *, admin: bool = False) -> str:
    """Write a configuration file: `values` by section and key over the defaults, each with its description."""
    lines: list[str] = []
    section = ""
    for setting in settings(ADMIN_SECTIONS if admin else NODE_SECTIONS):
        if setting.section != section:
            section = setting.section
            lines += ["", f"[{section}]"]
        value = values.get(section, {}).get(setting.key, setting.default)
        lines += kinds.comment(setting.doc)
        if setting.kind is kinds.MEMBERS:
            for member in cast("tuple[Member, ...]", value):
                lines += ["[[cluster.members]]"]
                lines += [f"name = {kinds.toml(member.name)}", f"address = {kinds.toml(str(member.address))}"]
        else:
            lines.append(f"{setting.key} = {kinds.toml(value)}")
    return "\n".join(lines[1:]) + "\n"
