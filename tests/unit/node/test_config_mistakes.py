"""All mistakes of a configuration at once, each with its line, the key that was meant and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftpgateway.node.config.errors import ConfigError
from ftpgateway.node.config.lines import key_lines
from ftpgateway.node.config.reading import effective, load_admin_config, load_node_config

TEXT = """\
[node]
name = "n1"
dta = "data"

[peers]
listen = "nowhere"   # no port

[cluster]
replicas = 99
members = [
  { name = "n1", address = "host1:7420" },
]

[fpt]
listen = "0.0.0.0:21"

[ftp]
require_tls = true
tls_certificate = "missing.pem"
"""


def node(directory: Path, text: str) -> Path:
    for name in ("ca.pem", "node.pem", "node.key"):
        (directory / name).write_text("x")
    file = directory / "pixraft.toml"
    file.write_text(text)
    return file


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    file = node(tmp_path, TEXT)
    with pytest.raises(ConfigError) as caught:
        load_node_config(file, {"PIXRAFT_FTP_IDLE_TIMEOT": "3", "PIXRAFT_LOG_LEVEL": "loud"})
    found = [(problem.line, problem.key, problem.variable) for problem in caught.value.problems]
    assert found == [
        (3, "node.dta", ""),
        (6, "peers.listen", ""),
        (9, "cluster.replicas", ""),
        (14, "[fpt]", ""),
        (19, "ftp.tls_certificate", ""),
        (0, "", "PIXRAFT_FTP_IDLE_TIMEOT"),
        (0, "log.level", "PIXRAFT_LOG_LEVEL"),
    ]
    text = str(caught.value)
    assert text.startswith("The configuration cannot be used: 7 mistakes\n")
    assert f"{file}:3: node.dta: unknown key; did you mean data? known in [node] are name, data" in text
    assert "[fpt]: unknown section; did you mean [ftp]?" in text
    assert "did you mean PIXRAFT_FTP_IDLE_TIMEOUT?" in text
    assert 'PIXRAFT_LOG_LEVEL: \'loud\' is not one of them; it takes "debug" or "info"' in text


def test_what_does_not_fit_together_is_told_when_the_values_are_right(tmp_path: Path) -> None:
    text = (
        TEXT.replace('dta = "data"', "")
        .replace('"nowhere"', '"a:1"')
        .replace("99", "3")
        .replace("[fpt]", "[log]")
    )
    text = text.replace('listen = "0.0.0.0:21"', "").replace('"missing.pem"', '""').replace('"n1"', '"n2"', 1)
    with pytest.raises(ConfigError) as caught:
        load_node_config(node(tmp_path, text), {})
    assert [(problem.line, problem.key) for problem in caught.value.problems] == [
        (2, "node.name"),
        (18, "ftp.require_tls"),
    ]


NODE = '[node]\nname = "n1"\n[[cluster.members]]\nname = "n1"\naddress = "a:1"\n[peers]\nlisten = "{}"\n'


@pytest.mark.parametrize(
    ("peers", "ftp", "implicit", "sftp", "keys"),
    [
        ("0.0.0.0:7420", "0.0.0.0:21", "0.0.0.0:990", "0.0.0.0:22", []),
        ("0.0.0.0:7420", "0.0.0.0:21", "0.0.0.0:990", "0.0.0.0:21", ["sftp.listen"]),
        ("0.0.0.0:21", "10.0.0.1:21", "", "", ["ftp.listen"]),
        ("h:21", "H:21", "h:21", "", ["ftp.listen", "ftp.implicit_tls_listen"]),
        ("localhost:21", "127.0.0.1:22", "", "127.0.0.1:21", ["sftp.listen"]),
        ("10.0.0.1:21", "10.0.0.2:21", "", "[fe80::1]:21", []),
        ("0.0.0.0:1", "[fe80::1]:1", "", "", []),
        ("0.0.0.0:1", "[::]:1", "", "", ["ftp.listen"]),
        ("0.0.0.0:0", "0.0.0.0:0", "", "0.0.0.0:0", []),
    ],
)
def test_two_servers_cannot_have_one_address(
    tmp_path: Path, peers: str, ftp: str, implicit: str, sftp: str, keys: list[str]
) -> None:
    file = node(tmp_path, NODE.format(peers))
    environment = {
        "PIXRAFT_FTP_LISTEN": ftp,
        "PIXRAFT_FTP_IMPLICIT_TLS_LISTEN": implicit,
        "PIXRAFT_FTP_TLS_CERTIFICATE": "node.pem",
        "PIXRAFT_SFTP_LISTEN": sftp,
    }
    try:
        load_node_config(file, environment)
    except ConfigError as error:
        assert {problem.key for problem in error.problems} == set(keys)
        assert all("is the address of" in problem.problem for problem in error.problems)
        assert {problem.variable for problem in error.problems} <= set(environment)
    else:
        assert keys == []


def test_a_file_of_the_other_kind_is_told_as_that(tmp_path: Path) -> None:
    members = '[[cluster.members]]\nname = "n1"\naddress = "a:1"\n'
    with pytest.raises(ConfigError, match=r"is an admin's bundle; give a node's file, `pixraft.toml`"):
        load_node_config(node(tmp_path, "[admin]\n" + members), {})
    with pytest.raises(ConfigError, match=r"is the configuration of a node; give the admin's, `admin.toml`"):
        load_admin_config(node(tmp_path, NODE.format("a:1")), {})


def test_each_value_knows_where_it_is_from(tmp_path: Path) -> None:
    text = '[node]\nname = "n1"\n[peers]\nlisten = "a:1"\n[[cluster.members]]\nname = "n1"\naddress = "a:1"\n'
    found = {
        entry.setting.name: entry for entry in effective(node(tmp_path, text), {"PIXRAFT_LOG_LEVEL": "debug"})
    }
    assert (found["node.name"].value, found["node.name"].origin) == ("n1", "file")
    assert (found["node.data"].value, found["node.data"].origin) == (tmp_path / "data", "default")
    assert (found["log.level"].value, found["log.level"].origin) == ("debug", "environment")


def test_lines_of_keys_however_they_are_written() -> None:
    text = (
        'ftp.listen = "a:1"\n[ "node" ] # here\n"name" = "n1"\nzone = """\n[log]\nlevel = "no"\n"""\n'
        "[log]\nlevel = '''x'''\nformat = 1\n[[cluster.members]]\n"
    )
    assert key_lines(text) == {
        "ftp": 1,
        "ftp.listen": 1,
        "node": 2,
        "node.name": 3,
        "node.zone": 4,
        "log": 8,
        "log.level": 9,
        "log.format": 10,
        "cluster": 11,
        "cluster.members": 11,
    }
