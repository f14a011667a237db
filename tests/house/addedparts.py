"""Two nodes of a changed program on loopback, which are asked for what was added: calls, their command, a job."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from raftstore.cluster.calls.notecounts import note_count
from raftstore.cluster.calls.notes import note, put_note
from raftstore.metadata.tables.notes import LEVEL
from waiting import PATIENCE, until

import raftstore
from ftpgateway.cli.access import open_access
from ftpgateway.cli.helpers import bundle
from ftpgateway.demo import ports
from ftpgateway.node.config.reading import load_node_config
from ftpgateway.node.config.whole import NODE_FILE
from ftpgateway.node.node import store_settings
from raftstore.errors import Invalid, NotFound, Refused
from raftstore.peers import Identity, PeerClient
from raftstore.peers.calls import Answered
from raftstore.store.facade import Store
from raftstore.util.addresses import Address
from raftstore.wire import admin_pb2 as admin

NAMES = ("n1", "n2")
TIMEOUT = 20.0


async def _refused(identity: Identity, address: Address, call: Answered, request) -> str:
    async with PeerClient(identity, address, timeout=TIMEOUT) as client:
        try:
            await client.call(call.method, request.SerializeToString(), timeout=TIMEOUT)
        except Refused as error:
            return error.detail
    raise AssertionError(f"{call.method} answered {identity.name}")


async def _roles(identities: dict[str, Identity], address: Address) -> None:
    """Who may ask what: operators change, nodes read as well, and a call between nodes is theirs alone."""
    put = admin.NotePut(name="greeting", text="hello")
    assert "administrator's directory" in await _refused(identities["n2"], address, put_note, put)
    assert "not for the role admin" in await _refused(
        identities["admin"], address, note_count, admin.NoteCountRequest()
    )
    for name in ("n2", "admin"):
        async with PeerClient(identities[name], address, timeout=TIMEOUT) as client:
            try:
                await client.call(note.method, b"", timeout=TIMEOUT)
            except NotFound:
                pass
            try:
                await client.call(note.method, b"\xff\xff", timeout=TIMEOUT)
            except Invalid as error:
                assert error.detail == "the body is not what admin.note takes", error


async def _pixraft(directory: Path, *words: str) -> dict[str, object]:
    """Run the command line; return what it prints."""
    arguments = ("-m", "ftpgateway.cli", *words, "--cluster", str(directory), "-o", "json")
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    printed, said = await process.communicate()
    assert process.returncode == 0, said.decode()
    return json.loads(printed)


async def _used(directory: Path, address: Address, identities: dict[str, Identity]) -> None:
    await _roles(identities, address)
    assert await _pixraft(directory, "note", "greeting", "--text", "hello") == {
        "name": "greeting",
        "text": "hello",
        "counts": {},
    }
    asked = await _pixraft(directory, "note", "greeting", "--node", "n1")
    assert (asked["text"], set(asked["counts"])) == ("hello", {"n2"}), "n1 has asked n2"
    ended: list[dict[str, object]] = []

    async def tallied() -> bool:
        jobs = (await _pixraft(directory, "jobs", "list", "--all"))["jobs"]
        ended[:] = [job for job in jobs if job["kind"] == "tally" and job["state"] == "done"]
        return len(ended) == len(NAMES)

    while not await tallied():  # noqa: ASYNC110 - asked of another process
        await asyncio.sleep(0.1)
    assert {job["node"] for job in ended} == set(NAMES)
    for job in ended:
        assert (job["reason"], job["done"], job["total"], job["unit"]) == ("there are notes", 1, 1, "notes")
        assert job["attempts"] == 1


async def _main(directory: Path) -> None:
    addresses = [Address("127.0.0.1", port) for port in ports.free("127.0.0.1", len(NAMES))]
    specs = [
        bundle.NodeSpec(name, address, address, Address("127.0.0.1", 0), "")
        for name, address in zip(NAMES, addresses, strict=True)
    ]
    bundle.make_cluster(directory, bundle.ClusterSpec(nodes=specs))
    access = open_access(directory / "admin" / "admin.toml")
    identities = {"admin": Identity.load(access.ca, access.certificate, access.key)}
    settings = [store_settings(load_node_config(directory / name / NODE_FILE, {})) for name in NAMES]
    identities |= {each.name: each.identity for each in settings}
    failed: list[BaseException] = []
    stores = await asyncio.gather(*(Store.open(each, failed.append) for each in settings))
    try:
        async with asyncio.timeout(PATIENCE):
            await until(lambda: all(store.level >= LEVEL for store in stores), within=PATIENCE)
            await _used(directory, addresses[0], identities)
    finally:
        await asyncio.gather(*(store.stop() for store in stores))
    assert not failed, failed


if __name__ == "__main__":
    assert Path(raftstore.__file__).is_relative_to(Path.cwd()), raftstore.__file__
    asyncio.run(_main(Path(sys.argv[1])))
