"""Configuration files: what is taken, and that every mistake is one clear message."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftpgateway.ftp.settings import FtpSettings
from ftpgateway.node.config.errors import ConfigError
from ftpgateway.node.config.log import LogSettings
from ftpgateway.node.config.reading import load_admin_config, load_node_config
from ftpgateway.node.config.sections import AdminSettings, settings
from ftpgateway.node.config.writing import render
from raftstore.cluster.settings import ClusterSettings
from raftstore.peers.settings import PeersSettings
from raftstore.util.addresses import Address
from raftstore.util.settings.kinds import Member

MEMBERS = (Member("n1", Address("host1", 7420)), Member("n2", Address("::1", 7421)))
VALUES: dict[str, dict[str, object]] = {
    "node": {"name": "n1", "data": "data"},
    "peers": {"listen": "0.0.0.0:7420"},
    "cluster": {"name": "pictures", "members": MEMBERS},
    "ftp": {"tls_certificate": "ftps.pem"},
}


def write(directory: Path, text: str | None = None) -> Path:
    for name in ("ca.pem", "node.pem", "node.key", "ftps.pem"):
        (directory / name).write_text("x")
    file = directory / "pixraft.toml"
    file.write_text(render(VALUES) if text is None else text)
    return file


def fails(file: Path, environment: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load_node_config(file, environment or {})
    message = str(caught.value)
    assert "\n" not in message
    assert caught.value.exit_code == 3
    return message


def test_a_written_file_is_read_back(tmp_path: Path) -> None:
    config = load_node_config(write(tmp_path), {})
    assert (config.name, config.data) == ("n1", tmp_path / "data")
    assert config[PeersSettings].listen == ("0.0.0.0", 7420)
    assert config[PeersSettings].encryption == "full"
    assert config[PeersSettings].key == tmp_path / "node.key"
    assert config[ClusterSettings].members == MEMBERS
    assert config[ClusterSettings].addresses() == {"n1": ("host1", 7420), "n2": ("::1", 7421)}
    assert config[FtpSettings].passive_ports == (50000, 50999)
    assert config[FtpSettings].tls_certificate == tmp_path / "ftps.pem"
    assert config[FtpSettings].require_tls is False
    assert config[LogSettings].level == "info"
    assert config.source == tmp_path / "pixraft.toml"


def test_relative_to_the_file_and_not_to_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert load_node_config(Path("../pixraft.toml"), {}).data == tmp_path / "data"


def test_environment_goes_before_the_file(tmp_path: Path) -> None:
    environment = {
        "PIXRAFT_NODE_DATA": "/srv/n1",
        "PIXRAFT_FTP_PASSIVE_PORTS": "",
        "PIXRAFT_FTP_REQUIRE_TLS": "true",
        "PIXRAFT_FTP_MAX_SESSIONS": "7",
        "PIXRAFT_CLUSTER_MEMBERS": "n1=127.0.0.1:1, n3=[::1]:2",
        "PIXRAFT_CONFIG": "other",
        "PIXRAFT_CLUSTER": "other",
        "PATH": "/bin",
    }
    config = load_node_config(write(tmp_path), environment)
    assert config.data == Path("/srv/n1")
    assert config[FtpSettings].passive_ports is None
    assert config[FtpSettings].require_tls is True
    assert config[FtpSettings].max_sessions == 7
    assert config[ClusterSettings].members == (
        Member("n1", Address("127.0.0.1", 1)),
        Member("n3", Address("::1", 2)),
    )


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('listen = "0.0.0.0:7420"', 'listen = "0.0.0.0"', "peers.listen"),
        ('listen = "0.0.0.0:7420"', "listen = 7420", "peers.listen"),
        ('listen = "0.0.0.0:7420"', 'listen = "::1:7420"', "peers.listen"),
        ('listen = "0.0.0.0:7420"', 'listen = "a:70000"', "peers.listen"),
        ('listen = "0.0.0.0:7420"', "", "peers.listen"),
        ('encryption = "full"', 'encryption = "none"', "peers.encryption"),
        ("replicas = 3", "replicas = 0", "cluster.replicas"),
        ("replicas = 3", "replicas = true", "cluster.replicas"),
        ("replicas = 3", 'replicas = "3"', "cluster.replicas"),
        ("require_tls = false", 'require_tls = "no"', "ftp.require_tls"),
        ('passive_ports = "50000-50999"', 'passive_ports = "50999-50000"', "ftp.passive_ports"),
        ('passive_ports = "50000-50999"', 'passive_ports = "many"', "ftp.passive_ports"),
        ("max_sessions = 2000", "max_session = 2000", "ftp.max_session"),
        ("[log]", "[logs]", "[logs]"),
        ('name = "n1"\n# Dir', 'name = "n9"\n# Dir', "node.name"),
        ('name = "n1"\n# Dir', 'name = "../n"\n# Dir', "node.name"),
        ('address = "[::1]:7421"', 'address = "host1:7420"', "cluster.members"),
        ('address = "[::1]:7421"', "port = 7421", "cluster.members"),
        ('ca = "ca.pem"', 'ca = "missing.pem"', "peers.ca"),
        ('tls_certificate = "ftps.pem"', 'tls_certificate = "no.pem"', "ftp.tls_certificate"),
        ('tls_certificate = "ftps.pem"\n', 'tls_certificate = ""\nrequire_tls = true\n#', "ftp.require_tls"),
    ],
)
def test_a_mistake_is_one_line_that_names_file_and_key(tmp_path: Path, old: str, new: str, named: str) -> None:
    text = render(VALUES)
    assert old in text
    text = text.replace(old, new)
    if new.endswith("#"):
        text = text.replace("\nrequire_tls = false", "")
    file = write(tmp_path, text)
    message = fails(file)
    assert str(file) in message
    assert f" {named}: " in message


def test_the_log_and_the_transfers_have_files_of_their_own(tmp_path: Path) -> None:
    environment = {
        "PIXRAFT_LOG_FILE": str(tmp_path / "log"),
        "PIXRAFT_LOG_TRANSFERS": str(tmp_path / "xferlog"),
    }
    load_node_config(write(tmp_path), environment)
    with pytest.raises(ConfigError, match=r"log\.file, too.*another file"):
        load_node_config(write(tmp_path), {**environment, "PIXRAFT_LOG_TRANSFERS": str(tmp_path / "log")})


@pytest.mark.slow
def test_every_truncation_is_a_clear_message_or_a_usable_file(tmp_path: Path) -> None:
    whole = render(VALUES)
    expected = load_node_config(write(tmp_path), {})
    # Within a comment one place is as good as another; within a line that counts, every other is tried.
    lengths, at = [], 0
    for line in whole.splitlines(keepends=True):
        lengths += [at, at + len(line) // 2] if line.startswith("#") else range(at, at + len(line), 2)
        at += len(line)
    for length in lengths:
        file = write(tmp_path, whole[:length])
        try:
            config = load_node_config(file, {})
        except ConfigError as error:
            message = str(error)
        else:
            # Only what has a default, or an entry of a list, can be lost without being noticed.
            assert (config.name, config[PeersSettings]) == (expected.name, expected[PeersSettings])
            continue
        assert str(file) in message


def test_not_a_file_not_text_and_not_there(tmp_path: Path) -> None:
    assert "no such file" in fails(tmp_path / "nothing.toml")
    assert "pixraft.toml" in fails(tmp_path)
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    assert "not valid TOML" in fails(binary)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PIXRAFT_FTP_LISTEN", "nowhere"),
        ("PIXRAFT_FTP_IDLE_TIMEOUT", "soon"),
        ("PIXRAFT_FTP_REQUIRE_TLS", "perhaps"),
        ("PIXRAFT_FTP_PORT", "21"),
        ("PIXRAFT_PEERS_CA", "/nowhere/ca.pem"),
        ("PIXRAFT_CLUSTER_MEMBERS", "n1"),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(tmp_path: Path, variable: str, value: str) -> None:
    assert f"environment variable {variable}: " in fails(write(tmp_path), {variable: value})


def test_an_admins_file(tmp_path: Path) -> None:
    text = render({"cluster": {"members": MEMBERS}}, admin=True)
    config = load_admin_config(write(tmp_path, text), {})
    assert config[ClusterSettings].members == MEMBERS
    assert config[AdminSettings].key == tmp_path / "node.key"


def test_every_key_says_what_it_is() -> None:
    for setting in settings():
        assert setting.doc.endswith("."), setting
        if setting.default is not None:
            setting.kind.from_toml(setting.default)
