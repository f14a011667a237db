"""`pixraft config check` and `config show`, and the unit for systemd."""

from __future__ import annotations

import configparser
import fcntl
import json
import os
import pwd
import re
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from commandline import pixraft

from ftpgateway.cli.local import unit
from ftpgateway.cli.local.unit import hidden_places, user_warnings
from ftpgateway.ftp.settings import FtpSettings
from ftpgateway.node.config.reading import load_node_config
from ftpgateway.node.config.sections import settings
from ftpgateway.node.startup import is_running
from raftstore.cluster.settings import NodeSettings
from raftstore.peers.security.pki import Authority
from raftstore.peers.settings import PeersSettings


def checked(node: Path, **environment: str) -> list[dict[str, Any]]:
    result = pixraft("config", "check", "--config", str(node), "-o", "json", env=environment)
    shape = json.loads(result.stdout)
    assert (result.exit_code, shape["ok"]) == ((3, False) if shape["problems"] else (0, True))
    assert shape["config"] == str(node)
    return shape["problems"]


def test_a_fresh_node_has_no_mistakes(node: Path) -> None:
    assert checked(node) == []
    assert pixraft("config", "check", "-c", str(node)).stdout == f"{node}: no mistakes.\n"
    assert not (node.parent / "data").exists()


def test_a_key_that_others_can_read_is_a_warning_and_no_mistake(node: Path) -> None:
    key = node.parent / "node.key"
    key.chmod(0o644)
    text = pixraft("config", "check", "-c", str(node))
    assert (text.exit_code, text.stderr) == (0, "")
    warning, verdict = text.stdout.splitlines()
    assert warning.startswith("warning: ") and "mode 0644" in warning and f"chmod 600 {key}" in warning
    assert verdict == f"{node}: no mistakes. But see the warning above."
    shape = json.loads(pixraft("config", "check", "-c", str(node), "-o", "json").stdout)
    assert (shape["ok"], [one["key"] for one in shape["warnings"]]) == (True, ["peers.key"])


def test_mistakes_in_values_are_told_with_line_and_remedy(node: Path) -> None:
    node.write_text(
        node.read_text()
        .replace("replicas = 3", "replicas = 99")
        .replace("max_sessions = 2000", "max_session = 2000")
    )
    lines = node.read_text().splitlines()
    found = checked(node)
    assert [(one["key"], lines[one["line"] - 1].split()[0]) for one in found] == [
        ("cluster.replicas", "replicas"),
        ("ftp.max_session", "max_session"),
    ]
    assert "did you mean max_sessions?" in found[1]["remedy"]
    text = pixraft("config", "check", "-c", str(node))
    assert (text.exit_code, len(text.stdout.splitlines())) == (3, 2)


def test_what_is_wrong_with_the_machine(node: Path, tmp_path: Path) -> None:
    (node.parent / "ftps.pem").write_text("nothing")
    (node.parent / "node.key").write_bytes((tmp_path / "c" / "admin" / "node.key").read_bytes())
    (tmp_path / "file").touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        found = checked(node, PIXRAFT_FTP_LISTEN=address, PIXRAFT_NODE_DATA=str(tmp_path / "file" / "data"))
    keys = {one["key"]: one["problem"] for one in found}
    assert sorted(keys) == ["ftp.listen", "ftp.tls_certificate", "node.data", "peers.certificate"]
    assert keys["ftp.listen"] == f"{address}: another process listens there"
    assert "is not the key of" in keys["peers.certificate"]


def test_what_is_no_disk_and_what_clients_will_miss(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: True)  # root's right
    for place in ("/proc/pixraft", "/sys"):
        (found,) = checked(node, PIXRAFT_NODE_DATA=place)
        assert (found["key"], "is on no disk" in found["problem"]) == ("node.data", True)
        refused = pixraft("serve", "--check", "-c", str(node), env={"PIXRAFT_NODE_DATA": place})
        assert (refused.exit_code, "is on no disk" in refused.stderr) == (41, True)
    port = load_node_config(node)[PeersSettings].listen.port
    environment = {
        "PIXRAFT_FTP_MASQUERADE_ADDRESS": "no.such.host.invalid",
        "PIXRAFT_FTP_PASSIVE_PORTS": f"{port}-{port}",
    }
    for command in (("config", "check"), ("serve", "--check")):
        result = pixraft(*command, "-c", str(node), "-o", "json", env=environment)
        warnings = {one["key"]: one["problem"] for one in json.loads(result.stdout)["warnings"]}
        assert (result.exit_code, sorted(warnings)) == (0, ["ftp.masquerade_address", "ftp.passive_ports"])
        assert f"the port of peers.listen (127.0.0.1:{port})" in warnings["ftp.passive_ports"]
        assert "warning: " in pixraft(*command, "-c", str(node), env=environment).stdout
    for good in ("127.0.0.1", "localhost"):
        result = pixraft(
            "config", "check", "-c", str(node), "-o", "json", env={"PIXRAFT_FTP_MASQUERADE_ADDRESS": good}
        )
        assert json.loads(result.stdout)["warnings"] == []


@pytest.mark.parametrize("days", [-1, 1])
def test_a_certificate_that_has_ended_or_is_anothers(node: Path, tmp_path: Path, days: int) -> None:
    authority = Authority.load(tmp_path / "c" / "authority")
    for file in ("node.key", "node.pem", "ca.pem"):
        (node.parent / file).unlink()
    other = authority.issue("n2", days=days)
    other.save(node.parent)
    (node.parent / "ftps.pem").write_bytes(other.key + other.certificate)
    found = {one["key"]: one["problem"] for one in checked(node)}
    if days > 0:
        assert list(found) == ["node.name"]
        assert "was issued for 'n2', not for 'n1'" in found["node.name"]
    else:
        assert sorted(found) == ["ftp.tls_certificate", "peers.certificate"]
        assert "clients refuse it" in found["ftp.tls_certificate"]


def test_addresses_of_a_node_that_runs_are_its_own(node: Path) -> None:
    lock = node.parent / "data" / "volumes" / "lock"
    lock.parent.mkdir(parents=True)
    lock.write_text(f"{os.getpid()}\n")
    config = load_node_config(node)
    assert not is_running(config)
    with lock.open() as held, socket.create_server(config[FtpSettings].listen):
        assert [one["key"] for one in checked(node)] == ["ftp.listen"]
        fcntl.flock(held, fcntl.LOCK_EX)
        assert is_running(config)
        assert checked(node) == []


def test_show_tells_every_key_with_its_origin(node: Path) -> None:
    result = pixraft("config", "show", "-c", str(node), "-o", "json", env={"PIXRAFT_LOG_LEVEL": "debug"})
    found = {one["key"]: one for one in json.loads(result.stdout)["settings"]}
    assert list(found) == [setting.name for setting in settings()]
    assert (found["log.level"]["value"], found["log.level"]["origin"]) == ("debug", "environment")
    assert found["ftp.require_tls"]["value"] is False
    assert found["node.data"] == {
        "key": "node.data",
        "value": str(node.parent / "data"),
        "origin": "file",
        "environment": "PIXRAFT_NODE_DATA",
    }
    text = pixraft("config", "show", "-c", str(node)).stdout
    assert re.search(r"^ftp.require_tls +false +file$", text, re.M)
    assert re.search(r"^cluster.members +n1=127.0.0.1:\d+ +file$", text, re.M)


def test_what_show_prints_are_values_that_the_environment_takes(node: Path) -> None:
    def shown(env: dict[str, str]) -> dict[str, tuple[str, str]]:
        shape = json.loads(pixraft("config", "show", "-c", str(node), "-o", "json", env=env).stdout)
        return {one["environment"]: (one["key"], one["value"]) for one in shape["settings"]}

    before = shown({})
    env = {}
    for name, (_, value) in before.items():
        if isinstance(value, list):
            value = ",".join(f"{member['name']}={member['address']}" for member in value)
        env[name] = str(value).lower() if isinstance(value, bool) else str(value)
    assert shown(env) == before


def test_no_key_is_a_secret() -> None:
    """`config show` hides nothing because there is nothing to hide; what is secret belongs into a file of its own."""
    assert not [s.name for s in settings() if re.search("password|secret|token|passphrase", s.key)]


def test_the_unit(node: Path) -> None:
    result = pixraft(
        "unit", "-c", str(node), "--user", "camera", env={"PIXRAFT_LOG_FILE": "/var/log/pixraft/log"}
    )
    assert result.exit_code == 0, result.output
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(result.stdout)
    service = unit["Service"]
    assert service["Type"] == "notify"
    assert service["ExecStart"].endswith(f" serve --config {node}")
    assert service["RestartPreventExitStatus"] == "2 3 40 52 53 54"
    assert service["ReadWritePaths"] == str(node.parent / "data")
    assert (service["User"], service["Restart"], service["NoNewPrivileges"]) == ("camera", "on-failure", "yes")
    assert "this machine has no user 'camera': sudo useradd --system" in result.stderr


def test_the_unit_tells_what_the_service_will_not_see_or_may_not_read(
    node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_node_config(node)
    elsewhere = replace(config, source=Path("/etc/x.toml")).with_section(
        replace(config[PeersSettings], key=Path("/etc/key"))
    )
    elsewhere = elsewhere.with_section(replace(config[FtpSettings], tls_certificate=None))
    elsewhere = elsewhere.with_section(replace(config[NodeSettings], data=Path("/srv/pixraft")))
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    program = Path("/usr/local/bin/pixraft")
    assert hidden_places(elsewhere, program) == []
    for place, setting in (
        ("/root/d", "ProtectHome"),
        ("/home/a/d", "ProtectHome"),
        ("/var/tmp/d", "PrivateTmp"),
    ):
        (warning,) = hidden_places(
            elsewhere.with_section(replace(config[NodeSettings], data=Path(place))), program
        )
        assert warning.startswith(f"a service with {setting}=yes does not see what is in ")
        assert warning.endswith(f": the data directory ({place}); put that elsewhere")
    in_tmp = elsewhere.with_section(replace(config[NodeSettings], data=Path("/tmp/d")))
    (both,) = hidden_places(in_tmp, Path("/tmp/bin/pixraft"))
    assert "the data directory (/tmp/d), the program (/tmp/bin/pixraft);" in both

    # A virtual environment's interpreter is a link, and so may be a directory on the way.
    (node.parent / "opt").symlink_to("/home/a/python")
    (node.parent / "python3").symlink_to("opt/bin/python3")
    monkeypatch.setattr(sys, "executable", str(node.parent / "python3"))
    monkeypatch.setattr(unit, "HIDDEN", {Path("/home"): "ProtectHome=yes"})
    (linked,) = hidden_places(elsewhere, program)
    assert "in /home: the Python that runs it (/home/a/python/bin/python3); put that elsewhere" in linked

    class Account:
        pw_uid = pw_gid = 54321

    monkeypatch.setattr(pwd, "getpwnam", lambda name: Account)
    monkeypatch.setattr(os, "getgrouplist", lambda name, group: [group])
    (warning,) = user_warnings(config, "camera")
    assert warning.endswith(f"sudo chown -R camera: {node.parent}")
    node.parent.chmod(0o755)
    (node.parent / "node.key").chmod(0o644)
    node.chmod(0o644)
    assert user_warnings(config, "camera") == []
    config.data.mkdir()
    assert user_warnings(config, "camera")[0].endswith(f"sudo chown -R camera: {config.data}")
    Account.pw_uid = os.getuid() or 0
    assert user_warnings(config, "camera") == []
