"""How many places an addition to the gateway takes: each one here is a module of `additions_gateway`, and works.

What is added is given to the public seams alone: no module of the program is patched. The counts of files stand in
docs/decisions/019-registries.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import ftplib
import io
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from additions_gateway import command, metric, mounted
from additions_gateway.frontend import PAGE
from additions_gateway.mounted import NEWEST, NOTICES
from additions_gateway.section import PageSettings
from ftpserver import Server, ftplib_client, serving
from sftpserver import running
from structlog.testing import capture_logs
from waiting import PATIENCE

from ftpgateway.access.tree import Mount
from ftpgateway.cli.helpers.bundle import ClusterSpec, NodeSpec, make_cluster
from ftpgateway.demo import ports
from ftpgateway.ftp.commands import MODULES
from ftpgateway.node.config.errors import ConfigError
from ftpgateway.node.config.reading import load_node_config
from ftpgateway.node.config.sections import Section, settings
from ftpgateway.node.frontends import FRONTENDS
from ftpgateway.node.node import run_node, store_settings
from raftstore.util.addresses import Address
from raftstore.util.metrics import Metrics
from raftstore.util.modules import declared_in

WITH_PAGE = (*FRONTENDS, PAGE)


# An FTP command: one file.


def test_an_ftp_command() -> None:
    with serving(modules=(*MODULES, command)) as server, server.client() as client:
        server.run(server.store.put, "/a", b"x")
        assert client.command("SITE COUNT") == 200 and client.text == "200 1"
        assert client.command("SITE HELP") == 214 and "COUNT" in " ".join(client.lines).split()
        assert client.command("FEAT") == 211 and " COUNT" in client.lines


# A directory mounted in a user's view: one file. Those in `ftpgateway.access.mounts` are found there.


def fill(server: Server) -> None:
    for directory in ("/.albums", "/.albums/newest", "/d"):
        server.run(server.store.put, directory, None)
    server.run(server.store.put, "/.albums/newest/a.jpg", b"picture", "alice")
    server.run(server.store.put, "/d/x.jpg", b"x", "alice")


def test_a_mount_is_found_where_it_is_declared() -> None:
    assert declared_in([mounted], Mount) == [NEWEST, NOTICES]


@pytest.fixture(scope="module")
def over_ftp() -> Iterator[Server]:
    with serving(mounts=(NEWEST, NOTICES)) as server:
        fill(server)
        yield server


def test_a_mounted_directory_is_listed_and_looked_at_over_ftp(over_ftp: Server) -> None:
    with ftplib_client(over_ftp) as client:
        assert sorted(client.nlst()) == [".albums", "d", "newest", "notices"]
        lines: list[str] = []
        client.retrlines("LIST", lines.append)
        assert [line.split()[-1] for line in lines if line.startswith("d")] == [
            ".albums",
            "d",
            "newest",
            "notices",
        ]
        facts = dict(client.mlsd())
        assert facts["notices"]["type"] == facts["newest"]["type"] == "dir"
        assert "w" not in facts["notices"]["perm"]
        inside = dict(client.mlsd("/notices"))
        assert inside["welcome.txt"]["size"] == "16" and inside["welcome.txt"]["perm"] == "r"
        assert "type=file" in client.sendcmd("MLST /newest/a.jpg")
        assert "type=dir" in client.sendcmd("MLST notices")
        assert client.size("/notices/welcome.txt") == 16 and client.size("newest/a.jpg") == 7
        assert client.sendcmd("MDTM /notices/welcome.txt") == "213 20200913122640"
        tree: list[str] = []
        client.retrlines("LIST -R /", tree.append)
        assert "/newest:" in tree and "/notices:" in tree


def test_a_mounted_directory_is_entered_read_and_written_over_ftp(over_ftp: Server) -> None:
    with ftplib_client(over_ftp) as client:
        client.cwd("/notices")
        assert client.pwd() == "/notices"
        read = io.BytesIO()
        client.retrbinary("RETR welcome.txt", read.write)
        assert read.getvalue() == b"Welcome, alice!\n"
        rest = io.BytesIO()
        client.retrbinary("RETR welcome.txt", rest.write, rest=9)
        assert rest.getvalue() == b"alice!\n"
        for refused in ("DELE welcome.txt", "MKD x", "RMD x", "MDTM 20200101000000 welcome.txt"):
            with pytest.raises(ftplib.error_perm, match="550 notices are only read"):
                client.sendcmd(refused)
        with pytest.raises(ftplib.error_perm, match="notices are only read"):
            client.storbinary("STOR mine.txt", io.BytesIO(b"mine"))
        with pytest.raises(ftplib.error_perm, match="/notices is always there"):
            client.rmd("/notices")
        with pytest.raises(ftplib.error_perm, match="nothing can be moved into"):
            client.rename("/d/x.jpg", "/notices/x.jpg")
        client.cwd("/newest")
        client.storbinary("STOR b.jpg", io.BytesIO(b"new"))
        client.rename("b.jpg", "/d/b.jpg")
        assert over_ftp.run(over_ftp.store.read, "/d/b.jpg") == b"new"
        client.delete("/d/b.jpg")


def test_a_mounted_directory_over_sftp() -> None:
    with running(mounts=(NEWEST, NOTICES)) as server:
        fill(server)
        with server.sftp() as client:
            assert sorted(client.listdir("/")) == [".albums", "d", "newest", "notices"]
            assert stat.S_ISDIR(client.stat("/notices").st_mode or 0)
            assert [each.st_size for each in client.listdir_attr("/notices")] == [16]
            assert (
                client.stat("/notices/welcome.txt").st_size == client.lstat("notices/welcome.txt").st_size == 16
            )
            assert client.normalize("notices/..") == "/"
            with client.open("/notices/welcome.txt") as file:
                assert file.read() == b"Welcome, alice!\n"
            for attempt in (
                lambda: client.open("/notices/mine.txt", "w"),
                lambda: client.open("/notices/welcome.txt", "r+"),
                lambda: client.mkdir("/notices/x"),
                lambda: client.remove("/notices/welcome.txt"),
                lambda: client.truncate("/notices/welcome.txt", 1),
            ):
                with pytest.raises(PermissionError, match="notices are only read"):
                    attempt()
            with pytest.raises(PermissionError, match="nothing can be moved into"):
                client.rename("/d/x.jpg", "/notices/x.jpg")
            with pytest.raises(PermissionError, match="/newest is always there"):
                client.rmdir("/newest")
            with client.open("/newest/b.jpg", "w") as file:
                file.write(b"new")
                assert sorted(client.listdir("/newest")) == ["a.jpg", "b.jpg"]
            with client.open("/newest/b.jpg", "r+") as file:
                file.seek(1)
                file.write(b"E")
            client.posix_rename("/newest/b.jpg", "/d/b.jpg")
            assert server.run(server.store.read, "/d/b.jpg") == b"nEw"
            with (
                client.open("/newest/c.jpg", "wx") as file,
                pytest.raises(PermissionError, match="close it before"),
            ):
                client.rename("/newest/c.jpg", "/d/c.jpg")


# A metric: one file.


def test_a_metric() -> None:
    visits, metrics = metric.Visits(), Metrics()
    metrics.add(visits)
    visits.number = 3
    (family,) = metrics.collect()
    assert (family.metric.name, [sample.value for sample in family.samples]) == (
        "pixraft_page_visits_total",
        [3],
    )


# A section: one file, and its line in `ftpgateway.node.config.sections`; a key: there, and where it is used.


@pytest.fixture
def file(tmp_path: Path) -> Path:
    peers, ftp, _ = ports.free("127.0.0.1", 3)
    make_cluster(
        tmp_path / "c", ClusterSpec(nodes=[NodeSpec.parse(f"n1=127.0.0.1:{peers},ftp=127.0.0.1:{ftp},sftp=")])
    )
    return tmp_path / "c" / "n1" / "pixraft.toml"


def test_a_section_and_its_keys(file: Path) -> None:
    section = Section("page", PageSettings)
    assert section.doc == "A page for who comes by."
    assert [(one.name, one.environment, one.default) for one in settings([section])] == [
        ("page.listen", "PIXRAFT_PAGE_LISTEN", ""),
        ("page.greeting", "PIXRAFT_PAGE_GREETING", "hello"),
        ("page.most_visits", "PIXRAFT_PAGE_MOST_VISITS", 100),
    ]
    assert load_node_config(file, {}, WITH_PAGE)[PageSettings] == PageSettings()
    text = file.read_text() + '\n[page]\ngreeting = "welcome"\n'
    file.write_text(text)
    config = load_node_config(file, {"PIXRAFT_PAGE_MOST_VISITS": "7"}, WITH_PAGE)
    assert config[PageSettings] == PageSettings(greeting="welcome", most_visits=7)
    file.write_text(f"{text}most_visits = 1\n")
    with pytest.raises(ConfigError) as wrong:
        load_node_config(file, {}, WITH_PAGE)
    line = len(text.splitlines()) + 1
    assert str(wrong.value).endswith(
        f"{file}:{line}: page.most_visits: one visit is no welcome; give at least 2"
    )


# A front-end: a package, and its line in `ftpgateway.node.frontends.FRONTENDS`.


def test_an_address_that_two_front_ends_have_is_a_mistake(file: Path) -> None:
    taken = load_node_config(file, {}).services()["ftp"]
    with pytest.raises(ConfigError, match=f"PIXRAFT_PAGE_LISTEN: {taken} is the address of ftp.listen"):
        load_node_config(file, {"PIXRAFT_PAGE_LISTEN": str(taken)}, WITH_PAGE)


@contextlib.asynccontextmanager
async def node(file: Path, environment: dict[str, str]) -> AsyncIterator[asyncio.Task[int]]:
    """Run a real node with all front-ends and the page."""
    task = asyncio.create_task(run_node(load_node_config(file, environment, WITH_PAGE)))
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.mark.integration
def test_a_front_end_on_a_real_node_with_its_section_and_its_metric(file: Path) -> None:
    address = Address("127.0.0.1", ports.free("127.0.0.1", 1)[0])
    environment = {"PIXRAFT_PAGE_LISTEN": str(address), "PIXRAFT_PAGE_GREETING": "welcome"}

    async def visit() -> str:
        reader, writer = await asyncio.open_connection(*address)
        text = (await reader.read()).decode()
        writer.close()
        return text

    async def main() -> tuple[str, int]:
        visits, page = 0, ""
        async with node(file, environment) as task, asyncio.timeout(PATIENCE):
            while visits < 2 or "pixraft_raft_leader 1.0\n" not in page:  # it serves before it is elected
                assert not task.done(), task.result()
                await asyncio.sleep(0.05)
                with contextlib.suppress(ConnectionError):
                    page = await visit()
                    visits += 1
        return page, visits

    config = load_node_config(file, environment, WITH_PAGE)
    assert store_settings(config).services_at("host:1")["page"] == str(address)
    with capture_logs() as logs:
        page, visits = asyncio.run(main())
    (ready,) = [line for line in logs if line["event"] == "node ready"]
    assert (ready["page"], ready["sftp"]) == (str(address), "off") and ready["ftp"].startswith("127.0.0.1:")
    greeting, _, metrics = page.partition("\n")
    assert greeting == "welcome"
    lines = metrics.splitlines()
    assert (
        "# TYPE pixraft_page_visits_total counter" in lines and f"pixraft_page_visits_total {visits}.0" in lines
    )
    for expected in (
        "pixraft_raft_leader 1.0",
        'pixraft_connections{protocol="ftp",state="logged_in"} 0.0',
        'pixraft_clients_refused_total{resource="memory"} 0.0',
        'pixraft_logins_total{result="wrong_password"} 0.0',
        'pixraft_jobs_running{kind="repair"} 0.0',
        "pixraft_sessions 0.0",
        "pixraft_chunks 0.0",
        "# TYPE pixraft_loop_busy_seconds histogram",
        "# TYPE pixraft_journal_fsync_seconds histogram",
    ):
        assert expected in lines, metrics
    syncs = next(line for line in lines if line.startswith("pixraft_journal_fsync_seconds_count "))
    assert float(syncs.split()[1]) > 0
