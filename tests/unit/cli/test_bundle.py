"""`pixraft init`: what it writes is complete, private and usable; it never overwrites."""

from __future__ import annotations

import json
import stat
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ftpgateway.cli.access import find_admin_file, open_access
from ftpgateway.cli.helpers import bundle
from ftpgateway.cli.main import group
from ftpgateway.ftp.settings import FtpSettings
from ftpgateway.node.config.reading import load_node_config
from raftstore.cluster.settings import ClusterSettings
from raftstore.peers.model import Role
from raftstore.peers.security.pki import Identity
from raftstore.peers.settings import PeersSettings
from raftstore.util.addresses import Address

NODES = (
    "--node",
    "n1=host1:7420",
    "--node",
    "n2=host2:7420,ftp=host2:21",
    "--node",
    "n3=[::1]:7420,listen=[::]:7",
)


def init(directory: Path, *arguments: str) -> Result:
    return CliRunner().invoke(group, ["init", str(directory), *(arguments or NODES)])


def test_what_is_made(tmp_path: Path) -> None:
    result = init(tmp_path / "c")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == ["admin", "authority", "n1", "n2", "n3"]
    configs = [load_node_config(tmp_path / "c" / name / "pixraft.toml", {}) for name in ("n1", "n2", "n3")]
    assert [str(config[PeersSettings].listen) for config in configs] == [
        "0.0.0.0:7420",
        "0.0.0.0:7420",
        "[::]:7",
    ]
    assert [str(config[FtpSettings].listen) for config in configs] == ["0.0.0.0:2121", "host2:21", "[::1]:2121"]
    for config in configs:
        identity = Identity.load(
            config[PeersSettings].ca, config[PeersSettings].certificate, config[PeersSettings].key
        )
        assert (identity.name, identity.role) == (config.name, Role.NODE)
        assert config[ClusterSettings] == configs[0][ClusterSettings]
        assert config.data == tmp_path / "c" / config.name / "data"
    admin = open_access(find_admin_file(tmp_path / "c"))
    assert Identity.load(admin.ca, admin.certificate, admin.key).role is Role.ADMIN
    assert admin.members == configs[0][ClusterSettings].members
    assert find_admin_file(tmp_path / "c" / "admin") == tmp_path / "c" / "admin" / "admin.toml"


@pytest.mark.parametrize(
    ("nodes", "reported"),
    [
        (["n1=h:1,ftp=h2:2"], ""),
        (
            ["n1=h:1,ftp=0.0.0.0:1"],
            "ftp of n1 (0.0.0.0:1) and listen of n1 (0.0.0.0:1) cannot both be had; change",
        ),
        (["n1=h:1,ftp=0.0.0.0:2,sftp=10.0.0.1:2"], "sftp of n1 (10.0.0.1:2) and ftp of n1 (0.0.0.0:2)"),
        (["n1=h:1,ftp=h:2,sftp=", "n2=h:2"], ""),
        (["n1=127.0.0.1:2121", "n2=127.0.0.1:2122"], "ftp of n1 (127.0.0.1:2121) and listen of n1"),
        (["n1=127.0.0.1:1", "n2=127.0.0.1:2,ftp=127.0.0.1:2022"], "ftp of n2 (127.0.0.1:2022) and sftp of n1"),
        (["n1=127.0.0.1:1,sftp=", "n2=127.0.0.1:2,ftp=127.0.0.1:2022,sftp="], ""),
    ],
)
def test_two_servers_of_a_machine_have_two_addresses(tmp_path: Path, nodes: list[str], reported: str) -> None:
    made = init(tmp_path / "c", *(word for node in nodes for word in ("--node", node)))
    assert (made.exit_code, reported in made.output) == (2 if reported else 0, True), made.output


def test_every_file_is_its_owners_alone(tmp_path: Path) -> None:
    init(tmp_path / "c")
    files = [path for path in (tmp_path / "c").rglob("*") if path.is_file()]
    assert len(files) == 2 + 4 + 3 * 5
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_it_refuses_to_overwrite(tmp_path: Path) -> None:
    init(tmp_path / "c")
    before = {path: path.read_bytes() for path in (tmp_path / "c").rglob("*") if path.is_file()}
    again = init(tmp_path / "c")
    assert again.exit_code == 11
    assert "nothing was changed" in again.stderr
    other = init(tmp_path / "c", "--node", "n9=host9:1")
    assert other.exit_code == 11
    assert before == {path: path.read_bytes() for path in (tmp_path / "c").rglob("*") if path.is_file()}
    fine = init(tmp_path / "c", *NODES, "--if-missing", "-o", "json")
    assert (fine.exit_code, json.loads(fine.stdout)["made"]) == (0, False)
    assert before == {path: path.read_bytes() for path in (tmp_path / "c").rglob("*") if path.is_file()}


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> str:
        raise RuntimeError("in the midst")

    monkeypatch.setattr(bundle, "node_file", fail)
    result = init(tmp_path / "c")
    assert isinstance(result.exception, RuntimeError)
    assert list((tmp_path / "c").iterdir()) == []


def test_nodes_on_one_host_get_ftp_ports_of_their_own(tmp_path: Path) -> None:
    init(tmp_path, *(argument for n in (1, 2, 3) for argument in ("--node", f"n{n}=127.0.0.1:742{n}")))
    listens = [load_node_config(tmp_path / f"n{n}" / "pixraft.toml", {})[FtpSettings].listen for n in (1, 2, 3)]
    assert listens == [Address("127.0.0.1", 2121 + n) for n in range(3)]


@pytest.mark.parametrize(
    "node",
    [
        *("n1", "n1=host", "n1=host:x", "n1=host:0", "=host:1", "../x=host:1", "n1=::1:7", "admin=host:1"),
        *("authority=host:1", "n1=host:1,ssh=host:22", "n1=host:1,ftp=21", f"{'n' * 64}=host:1"),
    ],
)
def test_a_wrong_node_is_a_usage_error(tmp_path: Path, node: str) -> None:
    result = init(tmp_path / "c", "--node", node)
    assert result.exit_code == 2
    assert not (tmp_path / "c").exists()


def test_twice_the_same_name_or_address(tmp_path: Path) -> None:
    for second in ("n1=b:1", "n2=a:1"):
        result = init(tmp_path / "c", "--node", "n1=a:1", "--node", second)
        assert result.exit_code == 2
        assert "is there twice" in result.stderr
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("nodes", "replicas", "reported"), [(7, 3, True), (7, 4, False), (3, 1, True), (1, 1, False)]
)
def test_too_few_copies_for_the_loss_of_any_minority_are_told(
    tmp_path: Path, nodes: int, replicas: int, reported: bool
) -> None:
    words = [word for number in range(nodes) for word in ("--node", f"n{number}=host{number}:1")]
    result = init(tmp_path / "c", *words, "--replicas", str(replicas))
    assert result.exit_code == 0
    assert ("the loss of any minority" in result.output) == reported


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = init(tmp_path / "file" / "c")
    assert result.exit_code == 41
    assert "cannot write to" in result.stderr


def test_a_web_for_others_speaks_tls() -> None:
    spec = bundle.ClusterSpec(nodes=[bundle.NodeSpec.parse("n1=10.0.0.1:7420,web=0.0.0.0:8443")])
    web = tomllib.loads(bundle.node_file(spec, spec.nodes[0]))["web"]
    assert (web["listen"], web["tls_certificate"]) == ("0.0.0.0:8443", "ftps.pem")
    own = bundle.ClusterSpec(nodes=[bundle.NodeSpec.parse("n1=127.0.0.1:7420,web=127.0.0.1:8080")])
    assert tomllib.loads(bundle.node_file(own, own.nodes[0]))["web"]["listen"] == "127.0.0.1:8080"
    assert bundle.NodeSpec.parse("n1=10.0.0.1:7420").web is None
