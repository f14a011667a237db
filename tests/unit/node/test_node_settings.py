"""What a node is told at its start: a certificate of its own, or a clear refusal."""

from __future__ import annotations

import pytest

from ftpgateway.access.settings import LEAST_MEMORY, ClientsSettings
from ftpgateway.cli.helpers.bundle import ClusterSpec, NodeSpec, make_cluster
from ftpgateway.node.config.errors import ConfigError
from ftpgateway.node.config.reading import load_node_config
from ftpgateway.node.memory import of_machine
from ftpgateway.node.node import access_settings, store_settings


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


def test_what_clients_may_hold_comes_from_the_configuration(cluster, tmp_path):
    file = cluster / "n1" / "pixraft.toml"
    environment = {
        "PIXRAFT_CLIENTS_MEMORY": str(2**30),
        "PIXRAFT_CLIENTS_MEMORY_PER_ADDRESS": str(2**28),
        "PIXRAFT_CLIENTS_HANDLES": "1000",
        "PIXRAFT_CLIENTS_CONNECTIONS_PER_ACCOUNT": "7",
        "PIXRAFT_CLIENTS_PROXY_NETWORKS": "192.0.2.0/24, 2001:db8::/64",
    }
    config = load_node_config(file, environment=environment)
    ledger = access_settings(config).ledger
    assert (ledger.node.memory, ledger.account.memory, ledger.network.memory) == (2**30, 2**28, 2**28)
    assert (ledger.node.handles, ledger.account.handles, ledger.network.handles) == (1000, 100, 250)
    assert (ledger.node.connections, ledger.account.connections, ledger.network.connections) == (0, 7, 0)
    networks = [str(network) for network in config[ClientsSettings].proxy_networks]
    assert networks == ["192.0.2.0/24", "2001:db8::/64"]
    default = access_settings(load_node_config(file, environment={})).ledger
    assert default.node.memory == max(LEAST_MEMORY, of_machine() // 4) == 4 * default.account.memory
    assert not load_node_config(file, environment={})[ClientsSettings].proxy_networks


def test_what_a_container_may_use_counts_as_the_machine(tmp_path):
    limit = tmp_path / "memory.max"
    assert of_machine(limit) > 2**20
    limit.write_text("1048576\n")
    assert of_machine(limit) == 2**20
    limit.write_text("max\n")
    assert of_machine(limit) == of_machine(tmp_path / "none")


@pytest.mark.parametrize(
    ("variable", "value", "mistake"),
    [
        ("PROXY_NETWORKS", "192.0.2.1/24", "has host bits set"),
        ("PROXY_NETWORKS", "balancer.example.org", "does not appear to be"),
        ("MEMORY", "1000", "at least"),
        ("MEMORY_PER_ACCOUNT", str(2**50), "is out of range|more than"),
    ],
)
def test_limits_that_make_no_sense_are_mistakes(cluster, variable, value, mistake):
    environment = {"PIXRAFT_CLIENTS_MEMORY": str(2**30), f"PIXRAFT_CLIENTS_{variable}": value}
    with pytest.raises(ConfigError, match=mistake):
        load_node_config(cluster / "n1" / "pixraft.toml", environment=environment)
