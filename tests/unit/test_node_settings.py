"""What a node is told at its start: a certificate of its own, or a clear refusal."""

from __future__ import annotations

import pytest

from ftpgateway.cli.bundle import ClusterSpec, NodeSpec, make_cluster
from ftpgateway.config import ConfigError, load_node_config
from ftpgateway.node import store_settings


@pytest.fixture
def cluster(tmp_path):
    nodes = [
        NodeSpec.parse(f"n{number}=127.0.0.1:{7000 + number},ftp=127.0.0.1:{7100 + number},sftp=")
        for number in (1, 2)
    ]
    make_cluster(tmp_path, ClusterSpec(nodes=nodes))
    return tmp_path


def test_a_node_is_what_its_certificate_says(cluster):
    config = load_node_config(cluster / "n1" / "pixraft.toml")
    assert store_settings(config).identity.name == store_settings(config).name == "n1"


def test_a_name_that_is_not_the_certificates_is_refused(cluster):
    file = cluster / "n1" / "pixraft.toml"
    file.write_text(file.read_text().replace('name = "n1"', 'name = "n7"'))
    with pytest.raises(ConfigError, match=r"n7.*issued for 'n1'"):
        store_settings(load_node_config(file))


def test_a_key_of_another_node_is_refused(cluster):
    (cluster / "n1" / "node.key").write_bytes((cluster / "n2" / "node.key").read_bytes())
    with pytest.raises(ConfigError, match=r"node\.key"):
        store_settings(load_node_config(cluster / "n1" / "pixraft.toml"))


def test_what_a_node_serves_is_told_with_addresses_that_others_can_use(cluster):
    file = cluster / "n1" / "pixraft.toml"
    environment = {
        "PIXRAFT_FTP_IMPLICIT_TLS_LISTEN": "[2001:db8::7]:990",
        "PIXRAFT_FTP_LISTEN": "0.0.0.0:21",
        "PIXRAFT_SFTP_LISTEN": "127.0.0.1:2022",
    }
    settings = store_settings(load_node_config(file, environment=environment))
    assert settings.services_at("pictures.example.org:7420") == {
        "ftp": "pictures.example.org:21",
        "ftps": "[2001:db8::7]:990",
        "sftp": "127.0.0.1:2022",
    }
