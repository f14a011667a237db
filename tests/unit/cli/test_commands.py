"""The command line itself: help, usage errors, what can be told without a cluster."""

from __future__ import annotations

import asyncio
import fcntl
import io
import json
import os
import re
import socket
from pathlib import Path

import click
import pytest
import structlog
from commandline import pixraft
from rich.console import Console

from ftpgateway.cli import errors, logs, output, reference
from ftpgateway.cli.cluster.node import becomes
from ftpgateway.cli.helpers import statusview, useroptions
from ftpgateway.cli.local import serve
from ftpgateway.cli.main import find_commands
from ftpgateway.node.config.reading import load_node_config
from raftstore.cluster.status.convert import node_from_wire, node_to_wire
from raftstore.types import ClientFigure, ClusterStatus, NodeStatus
from raftstore.wire import admin_pb2

ALL = [
    *(
        name
        for name in find_commands()
        if name
        not in (
            "user",
            "node",
            "leader",
            "jobs",
            "config",
            "hostkeys",
            "partials",
            "upgrade",
            "group",
            "retention",
            "sessions",
            "maintenance",
            "cert",
            "webhook",
            "backup",
        )
    ),
    *(f"backup {name}" for name in ("create", "key", "list", "prune", "restore", "verify")),
    *(f"group {name}" for name in ("add", "list", "members", "remove")),
    *(f"retention {name}" for name in ("list", "remove", "set")),
    *(f"maintenance {name}" for name in ("list", "off", "on")),
    *(f"cert {name}" for name in ("list", "renew")),
    *(f"sessions {name}" for name in ("kill", "list")),
    *(f"webhook {name}" for name in ("add", "list", "remove", "retry", "test")),
    *(f"partials {name}" for name in ("list", "remove")),
    *(f"upgrade {name}" for name in ("finish", "status")),
    *(f"jobs {name}" for name in ("cancel", "list", "show")),
    *(f"node {name}" for name in ("add", "cancel", "list", "move", "remove", "replace")),
    *(f"config {name}" for name in ("check", "show")),
    "leader transfer",
    *(f"hostkeys {name}" for name in ("list", "rotate")),
    *(f"user key {name}" for name in ("add", "list", "remove")),
    *(
        f"user {name}"
        for name in (
            *(
                "add",
                "adopt",
                "block",
                "grant",
                "list",
                "orphans",
                "passwd",
                "remove",
                "revoke",
                "set",
                "show",
                "unblock",
            ),
        )
    ),
]


@pytest.mark.parametrize("name", ALL)
def test_every_command_has_help_with_examples_and_json(name: str) -> None:
    result = pixraft(*name.split(), "--help")
    assert result.exit_code == 0
    assert f"  pixraft {name}" in result.stdout
    assert "--output [text|json]" in result.stdout


def test_help_version_and_typing_errors() -> None:
    assert pixraft("--help").exit_code == 0
    assert pixraft("--version").stdout.startswith("pixraft ")
    wrong = pixraft("stauts")
    assert wrong.exit_code == 2
    assert "status" in wrong.stderr
    assert pixraft("status").exit_code == 2
    assert "--cluster DIR" in pixraft("status").stderr


@pytest.mark.parametrize(
    "line",
    ["stauts -o json", "status --output json --no-such", "jobs -ojson nothing", "config show --output=json"],
)
def test_a_wrong_command_line_is_json_when_that_is_asked_for(line: str) -> None:
    result = pixraft(*line.split())
    assert (result.exit_code, result.stdout) == (2, "")
    reported = json.loads(result.stderr)
    assert (reported["error"], reported["exit_code"], bool(reported["message"])) == ("UsageError", 2, True)


def test_what_commands_log_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    before = structlog.get_config()
    try:
        logs.to_standard_error()
        structlog.get_logger().info("not worth a line")
        structlog.get_logger().warning("garbage from peer", peer="n2")
    finally:
        structlog.configure(**before)
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"\S+Z \[warning  \] garbage from peer +peer=n2\n", err)


def test_serve_logs_what_should_be_mended(node: Path) -> None:
    key = node.parent / "node.key"
    key.chmod(0o644)
    config = load_node_config(node)
    with structlog.testing.capture_logs() as lines:
        serve.log_warnings(config)
    (line,) = lines
    assert (line["log_level"], line["event"], line["key"]) == ("warning", "configuration", "peers.key")
    assert (str(key) in line["problem"], line["remedy"]) == (True, f"chmod 600 {key}")


def test_a_bad_configuration_is_one_message(tmp_path: Path) -> None:
    missing = pixraft("serve", "--config", str(tmp_path / "no.toml"))
    assert missing.exit_code == 3
    assert missing.stderr.count("\n") == 1
    assert "no such file" in missing.stderr
    as_json = pixraft("status", "--config", str(tmp_path / "no.toml"), "-o", "json")
    assert json.loads(as_json.stderr)["exit_code"] == 3
    empty = pixraft("status", "--cluster", str(tmp_path))
    assert empty.exit_code == 3
    assert "pixraft init" in empty.stderr


@pytest.mark.parametrize("file", ["node.pem", "node.key", "ca.pem"])
def test_a_damaged_certificate_is_named(node: Path, file: str) -> None:
    (node.parent / file).write_text("-----BEGIN NOTHING-----")
    result = pixraft("status", "--config", str(node))
    assert result.exit_code == 3
    assert str(node.parent / file) in result.stderr
    (node.parent / file).unlink()
    assert str(node.parent / file) in pixraft("status", "--config", str(node)).stderr


def test_serve_check(node: Path) -> None:
    result = pixraft("serve", "--check", "--config", str(node), "-o", "json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {
        "node": "n1",
        "config": str(node),
        "ok": True,
        "running": False,
        "warnings": [],
    }
    assert not (node.parent / "data").exists()


def test_serve_check_opens_what_is_on_disk(node: Path) -> None:
    from ftpgateway.node.config.reading import load_node_config
    from ftpgateway.node.node import store_settings
    from raftstore.store.opendisk import check_disk

    data = node.parent / "data"

    async def begin() -> None:
        data.mkdir()
        (data / "begun").touch()
        await check_disk(store_settings(load_node_config(node)), pytest.fail)

    asyncio.run(begin())
    assert pixraft("serve", "--check", "--config", str(node)).exit_code == 0
    read = [file for file in (data / "journal").iterdir() if file.suffix != ".tmp"]
    for file in [*read, data / "volumes" / "identity"]:
        content = file.read_bytes()
        file.write_bytes(b"x" * len(content))
        damaged = pixraft("serve", "--check", "--config", str(node))
        assert (damaged.exit_code, str(file) in damaged.stderr) == (40, True), damaged.stderr
        file.write_bytes(content)
    with (data / "volumes" / "lock").open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(f"{os.getpid()}\n".encode())
        lock.flush()
        running = pixraft("serve", "--check", "--config", str(node))
        assert (running.exit_code, "runs, so that its data was not opened" in running.stdout) == (0, True)


@pytest.mark.parametrize("key", ["peers.listen", "ftp.listen"])
def test_a_port_in_use_is_named(node: Path, key: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        variable = f"PIXRAFT_{key.replace('.', '_').upper()}"
        result = pixraft("serve", "--config", str(node), env={variable: address})
    assert result.exit_code == 9
    assert f"{key}: {address}: another process listens there" in result.stderr


def test_an_address_of_another_machine_and_an_unknown_host(node: Path) -> None:
    other = pixraft("serve", "--config", str(node), env={"PIXRAFT_FTP_LISTEN": "192.0.2.1:2121"})
    assert (other.exit_code, "does not have the address" in other.stderr) == (9, True)
    unknown = pixraft("serve", "--config", str(node), env={"PIXRAFT_FTP_LISTEN": "no.such.host.invalid:2121"})
    assert (unknown.exit_code, "unknown host" in unknown.stderr) == (9, True)


def test_a_data_directory_that_cannot_be_made(node: Path) -> None:
    (node.parent / "file").touch()
    result = pixraft(
        "serve", "--config", str(node), env={"PIXRAFT_NODE_DATA": str(node.parent / "file" / "data")}
    )
    assert result.exit_code == 41
    assert "node.data" in result.stderr


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("none", 0),
        ("500M", 500 << 20),
        ("20g", 20 << 30),
        ("3 TiB", 3 << 40),
        ("7kB", 7 << 10),
        ("9B", 9),
    ],
)
def test_quotas(text: str, size: int) -> None:
    assert useroptions.Size().convert(text, None, None) == size


@pytest.mark.parametrize("text", ["", "-1", "many", "1.5G", "10X", "99999999T"])
def test_quotas_that_are_none(text: str) -> None:
    with pytest.raises(click.BadParameter):
        useroptions.Size().convert(text, None, None)


@pytest.mark.parametrize(
    "arguments",
    [
        ["add", "a/b"],
        ["add", ""],
        ["add", "anna", "--role", "xyz"],
        ["add", "anna", "--role", "rr"],
        ["add", "anna", "--quota-files", "0"],
        ["add", "anna", "--home", "/" + "x" * 300],
        ["add", "anna", "--home", "anna"],
        ["add", " anna"],
        ["add", "anna\t"],
        ["grant", "anna", "team", "read-only"],
        ["revoke", "anna", "./team"],
        ["list", "--cluster", "elsewhere"],
    ],
)
def test_usage_errors_of_user(node: Path, arguments: list[str]) -> None:
    password = ["--password-stdin"] if arguments[0] == "add" else []
    result = pixraft("user", *arguments, "--config", str(node), *password, stdin="secret\n")
    assert result.exit_code == 2, result.output
    assert "No such option" not in result.stderr


@pytest.mark.parametrize("password", ["", "\n", "a\x01b\n", "x" * 1025])
def test_passwords_that_are_none(node: Path, password: str) -> None:
    result = pixraft("user", "add", "anna", "--config", str(node), "--password-stdin", stdin=password)
    assert result.exit_code == 2


def test_no_terminal_to_ask(node: Path) -> None:
    result = pixraft("user", "add", "anna", "--config", str(node), stdin="secret\nsecret\n")
    assert result.exit_code == 2
    assert "--password-stdin" in result.stderr


def test_one_of_cluster_and_config_is_given_and_what_is_typed_goes_before_the_environment(node: Path) -> None:
    both = pixraft("status", "--cluster", "a", "--config", "b")
    assert (both.exit_code, "give one of them" in both.stderr) == (2, True)
    away = str(node.parent / "no.toml")
    typed = pixraft(
        "status", "--timeout", "0.2", "--cluster", str(node.parents[1]), env={"PIXRAFT_CONFIG": away}
    )
    assert typed.exit_code == 5, typed.output
    typed = pixraft("status", "--config", away, env={"PIXRAFT_CLUSTER": str(node.parents[1])})
    assert (typed.exit_code, away in typed.stderr) == (3, True)


def test_what_is_no_number_of_a_job() -> None:
    for text in ("abc", "0", "-1", "1.5"):
        result = pixraft("jobs", "show", "--cluster", "c", "--", text)
        assert (result.exit_code, f"{text!r} is not the number of a job" in result.stderr) == (2, True)


@pytest.mark.parametrize(("replicas", "warned"), [(None, False), (1, False), (2, False), (3, True)])
def test_init_says_that_there_are_fewer_nodes_than_copies(
    tmp_path: Path, replicas: int | None, warned: bool
) -> None:
    wanted = [] if replicas is None else ["--replicas", str(replicas)]
    nodes = ("--node", "n1=127.0.0.1:7421", "--node", "n2=127.0.0.1:7422")
    made = pixraft("init", str(tmp_path / "c"), *nodes, *wanted)
    assert (made.exit_code, "3 copies are wanted, but there are 2 nodes" in made.stderr) == (0, warned)


@pytest.mark.slow
def test_demo_usage_errors() -> None:
    assert pixraft("demo", "--nodes", "1").exit_code == 2
    assert pixraft("demo", "--user", "nobody").exit_code == 2
    assert pixraft("demo", "--user", ":x").exit_code == 2
    assert pixraft("demo", "--pictures", "/nowhere").exit_code == 3


def test_exit_codes_are_unique_and_stable() -> None:
    codes = [code for code, _, _ in errors.exit_codes()]
    assert len(codes) == len(set(codes))
    table = {name: code for code, name, _ in errors.exit_codes() if name}
    assert (table["ConfigError"], table["NotReachable"], table["DemoFailed"], table["AddressInUse"]) == (
        3,
        5,
        6,
        9,
    )
    assert errors.VERDICTS == {"healthy": 0, "degraded": 8, "no quorum": 30, "unreachable": 5}
    assert statusview.exit_code(ClusterStatus("other", "n1", None, 0)) == 1


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_terminal_of_any_width_gets_all_of_it(width: int) -> None:
    nodes = [
        NodeStatus(
            "n1", "10.0.0.1:7420", "leader", reachable=True, term=3, free_disk=1 << 40, pictures=123_456
        ),
        NodeStatus("n2", "10.0.0.2:7420", error="cannot be reached"),
    ]
    status = ClusterStatus("degraded", "n1", "n1", 3, nodes, short=[f"/{n}" for n in range(12)], short_count=12)
    console = Console(width=width, force_terminal=True, file=io.StringIO(), record=True)
    console.print(statusview.rich(status))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= width
    for word in (
        "degraded",
        "n1",
        "10.0.0.1:7420",
        "123456",
        "1.0 TiB",
        "12 with fewer copies than wanted",
        "...",
    ):
        assert word in text
    assert "cannot be reached" in " ".join(text.split())


def test_nodes_that_are_drained_are_named() -> None:
    nodes = [NodeStatus(name, "h:1", reachable=True) for name in ("n1", "n2", "n3")]
    status = ClusterStatus("healthy", "n1", "n1", 1, nodes=nodes)
    assert "drain" not in statusview.plain(status)
    nodes[1].drain = "drained"
    nodes[2].drain = "draining"
    reported = statusview.plain(status)
    assert "n2 is drained: it takes no pictures until `pixraft drain n2 --cancel`." in reported
    assert "n3 is draining" in reported
    assert [node["drain"] for node in statusview.as_json(status)["nodes"]] == ["", "drained", "draining"]  # type: ignore[union-attr, attr-defined]
    round_trip = node_from_wire(node_to_wire(nodes[1]))
    assert round_trip == nodes[1]


def test_what_was_put_aside_is_told_as_it_is_now() -> None:
    nodes = [NodeStatus("n1", "h:1", reachable=True, quarantined=1), NodeStatus("n2", "h:2", quarantined=0)]
    status = ClusterStatus("healthy", "n1", "n1", 1, nodes)
    reported = "n1: 1 damaged place was found on its disk and put aside; "
    assert reported + "nothing lacks a copy any more. See volumes/quarantine" in statusview.plain(status)
    status.short_count, nodes[1].quarantined = 1, 2
    assert reported + "what other nodes have of it is copied from there. See" in statusview.plain(status)
    assert "n2: 2 damaged places were found" in statusview.plain(status)


def test_a_first_start_that_waits_for_a_node_names_it() -> None:
    nodes = [NodeStatus(name, "h:1", "starting", reachable=True) for name in ("n1", "n2")] + [
        NodeStatus("n3", "h:3")
    ]
    reported = statusview.plain(ClusterStatus("no quorum", "n1", None, 0, nodes))
    assert "A new cluster begins when all its nodes have heard of each other; n3 must come up." in reported
    assert "until 2 of 3" not in reported


def test_a_node_that_has_joined_and_was_not_started_is_told_as_that() -> None:
    nodes = [
        NodeStatus("n1", "h:1", "leader", reachable=True, voter=True),
        NodeStatus("n2", "h:2", voter=False, error="cannot be reached"),
        NodeStatus("n3", "h:3", voter=True, error="cannot be reached"),
    ]
    reported = statusview.plain(ClusterStatus("degraded", "n1", "n1", 1, nodes))
    assert "n3: see the log there; start with `pixraft serve`." in reported
    assert "n2 is new, or a new one in the place of another: start it" in reported
    assert re.search(r"^n2 +h:2 +- +no +no ", reported, re.M)


@pytest.mark.parametrize(
    ("name", "reported"),
    [
        ("n1", ""),
        ("n2", "is removed"),
        ("n3", "is removed: n4 takes its place"),
        ("n4", "votes, when it has caught up"),
    ],
)
def test_what_becomes_of_a_member(name: str, reported: str) -> None:
    changes = [
        admin_pb2.Change(kind="remove", node="n2"),
        admin_pb2.Change(kind="join", node="n4", replaces="n3"),
        admin_pb2.Change(kind="join", node="n1", replaces="n1"),
    ]
    member = admin_pb2.Member(name=name, voter=name != "n4", leaving=name in ("n2", "n3"))
    assert becomes(member, changes) == reported


def test_zones_are_shown_where_there_are_any() -> None:
    nodes = [NodeStatus("n1", "10.0.0.1:7420"), NodeStatus("n2", "10.0.0.2:7420")]
    status = ClusterStatus("healthy", "n1", "n1", 3, nodes)
    assert "zone" not in statusview.plain(status)
    nodes[1].zone = "cellar"
    lines = statusview.plain(status).splitlines()
    assert "zone" in lines[1] and "cellar" in lines[3]
    assert lines[1].index("zone") == lines[3].index("cellar")


def test_services_are_shown_with_their_addresses() -> None:
    nodes = [
        NodeStatus("n1", "h1:7420", services={"sftp": "h1:2022", "ftp": "h1:21"}),
        NodeStatus("n2", "h2:7420"),
    ]
    status = ClusterStatus("healthy", "n1", "n1", 3, nodes)
    lines = [line.split() for line in statusview.plain(status).splitlines()]
    assert lines[1][:5] == ["node", "address", "ftp", "sftp", "role"]
    assert lines[2][:4] == ["n1", "h1:7420", "h1:21", "h1:2022"]
    assert lines[3][:4] == ["n2", "h2:7420", "-", "-"]
    assert node_from_wire(node_to_wire(nodes[0])) == nodes[0]


def test_what_clients_are_refused_is_told_and_what_they_hold_is_in_the_json() -> None:
    memory, handles = ClientFigure(3, 64 << 20, 512 << 20, 2), ClientFigure(7, 9, 0, 1)
    nodes = [
        NodeStatus("n1", "h:1", reachable=True, clients={"memory": ClientFigure(3, 5, 512 << 20, 0)}),
        NodeStatus("n2", "h:2", reachable=True, clients={"handles": handles, "memory": memory}),
    ]
    status = ClusterStatus("healthy", "n2", "n1", 3, nodes)
    assert statusview.advice(status) == [
        "n2: clients were refused since its start: handles once (at most 9 were held), memory 2 times (at most "
        "64.0 MiB were held, of 512.0 MiB). See [clients] in its configuration."
    ]
    assert node_from_wire(node_to_wire(nodes[1])) == nodes[1]
    (_, shown) = statusview.as_json(status)["nodes"]  # type: ignore[misc]
    assert shown["clients"]["memory"] == {"used": 3, "peak": 64 << 20, "limit": 512 << 20, "refused": 2}


@pytest.mark.parametrize(
    ("count", "text"), [(None, "-"), (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 << 40, "5.0 TiB")]
)
def test_sizes_for_people(count: int | None, text: str) -> None:
    assert output.human_bytes(count) == text


def test_reference_pages_name_every_command_key_and_code() -> None:
    pages = reference.pages()
    for name in ALL:
        assert f"## pixraft {name}\n" in pages["cli.md"]
    assert "PIXRAFT_FTP_PASSIVE_PORTS" in pages["configuration.md"]
    assert "| 130 |" in pages["exit-codes.md"]
