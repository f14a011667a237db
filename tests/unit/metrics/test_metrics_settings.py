"""The section [metrics]: where strangers could read it, it says so before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftpgateway.cli.helpers.bundle import METRICS, ClusterSpec, NodeSpec, make_cluster
from ftpgateway.metrics.kind import MetricsKind
from ftpgateway.metrics.settings import MetricsSettings
from ftpgateway.node.config.errors import ConfigError
from ftpgateway.node.config.reading import load_node_config
from ftpgateway.node.node import store_settings
from raftstore.peers.security.pki import self_signed_server_pem
from raftstore.util.addresses import Address


def made(directory: Path, *nodes: str) -> list[Path]:
    specs = [NodeSpec.parse(node) for node in nodes]
    make_cluster(directory, ClusterSpec(nodes=specs))
    return [directory / spec.name / "pixraft.toml" for spec in specs]


def listening(file: Path) -> Address | None:
    return load_node_config(file, {})[MetricsSettings].listen


def test_where_it_listens_after_init(tmp_path: Path) -> None:
    assert [listening(file) for file in made(tmp_path / "a", "n1=host1:1", "n2=host2:1")] == [METRICS, METRICS]
    assert [listening(file) for file in made(tmp_path / "b", "n1=host1:1", "n2=host1:2")] == [None, None]
    (own,) = made(tmp_path / "c", "n1=127.0.0.1:7421")
    assert listening(own) is None
    (chosen,) = made(tmp_path / "d", "n1=127.0.0.1:7421,metrics=127.0.0.1:9000")
    assert listening(chosen) == Address("127.0.0.1", 9000)
    assert "metrics" not in store_settings(load_node_config(chosen, {})).services


@pytest.mark.parametrize("address", ["0.0.0.0:9420", "10.0.0.1:9420", "[::]:9420", "127.example.org:9420"])
def test_beyond_loopback_a_token_or_a_certificate_is_demanded(tmp_path: Path, address: str) -> None:
    (file,) = made(tmp_path / "c", "n1=127.0.0.1:7421")
    token, certificate = tmp_path / "token", tmp_path / "web.pem"
    token.write_text("0123456789abcdef")
    certificate.write_bytes(self_signed_server_pem(["localhost"]))
    with pytest.raises(
        ConfigError, match=r"PIXRAFT_METRICS_LISTEN.*strangers could read.*set metrics\.credentials_file"
    ):
        load_node_config(file, {"PIXRAFT_METRICS_LISTEN": address})
    for key, value in (("CREDENTIALS_FILE", token), ("TLS_CERTIFICATE", certificate)):
        environment = {"PIXRAFT_METRICS_LISTEN": address, f"PIXRAFT_METRICS_{key}": str(value)}
        assert load_node_config(file, environment)[MetricsSettings].listen is not None


@pytest.mark.parametrize("address", ["127.0.0.1:9420", "127.5.0.1:9420", "[::1]:9420", "localhost:9420"])
def test_loopback_is_open(tmp_path: Path, address: str) -> None:
    (file,) = made(tmp_path / "c", "n1=127.0.0.1:7421")
    assert load_node_config(file, {"PIXRAFT_METRICS_LISTEN": address})[MetricsSettings].listen is not None


def test_files_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    short = tmp_path / "file"
    short.write_text("short")
    settings = MetricsSettings(listen=METRICS, credentials_file=short, tls_certificate=short)
    assert [mistake.key for mistake in MetricsKind().problems(settings)] == [
        "credentials_file",
        "tls_certificate",
    ]
    assert [file.key for file in MetricsKind().private_files(settings)] == [
        "credentials_file",
        "tls_certificate",
    ]
    assert not list(MetricsKind().problems(MetricsSettings(credentials_file=short)))
