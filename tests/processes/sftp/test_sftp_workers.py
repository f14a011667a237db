"""Worker processes: one that hangs is replaced, and what uploads left can be resumed; new host keys need no new one."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from sftpserver import SftpServer, serve
from structlog.testing import capture_logs

from ftpgateway.access.login import keys
from ftpgateway.sftp import frontend, hostkeys
from ftpgateway.sftp.processes import workers

DATA = os.urandom(1_500_000)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[SftpServer]:
    monkeypatch.setattr(frontend, "_KEYS_PAUSE", 0.05)
    server = serve({"workers": 1})
    yield server
    server.stop()


def test_a_worker_that_hangs_is_replaced(server: SftpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0
    probe = workers.Worker.probe

    def counted(worker: workers.Worker) -> None:
        nonlocal asked
        asked += 1
        probe(worker)

    monkeypatch.setattr(workers.Worker, "probe", counted)
    monkeypatch.setattr(workers, "PROBE_PERIOD", 0.05)
    monkeypatch.setattr(workers, "PROBES", 10**6)
    with capture_logs() as lines, server.sftp() as client:
        file = client.open("a.jpg", "wb")
        file.write(DATA)
        assert file.stat().st_size == len(DATA)
        (worker,) = server.frontend.worker_pids
        server.wait_for(lambda: asked >= 3 and server.frontend._workers._workers[0].missed == 0)
        os.kill(worker, signal.SIGSTOP)
        monkeypatch.setattr(workers, "PROBES", 3)
        server.wait_for(lambda: worker not in server.frontend.worker_pids)
        monkeypatch.setattr(workers, "PROBES", 10**6)
        server.wait_for(lambda: server.frontend.sessions == 0)
    assert any("hangs" in line["event"] and line["worker"] == worker for line in lines)
    assert any(
        line["event"] == "session over" and line["user"] == "alice" and "worker" in line["reason"]
        for line in lines
    )
    assert "a.jpg" not in server.store.root.children
    assert server.store.partials["alice", "/a.jpg"] == DATA
    server.wait_for(lambda: server.frontend._workers._not_before < server.loop.time())
    with server.sftp() as client:
        assert client.stat("a.jpg").st_size == len(DATA)
        assert server.frontend.worker_pids and worker not in server.frontend.worker_pids


def test_who_does_not_answer_gets_nobody_while_others_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "PROBE_PERIOD", 0.1)
    monkeypatch.setattr(workers, "PROBES", 10**6)
    server = serve({"workers": 2})
    try:
        with server.sftp("bob"):
            (stopped,) = server.frontend._workers._workers
            os.kill(stopped.pid, signal.SIGSTOP)
            server.wait_for(lambda: stopped.missed >= 2)
            for _ in range(3):
                with server.sftp() as client:
                    assert client.listdir() == []
            assert stopped.load == 1
            os.kill(stopped.pid, signal.SIGCONT)
            server.wait_for(lambda: stopped.missed == 0)
    finally:
        server.stop()


def shown(server: SftpServer, kind: str) -> bytes:
    """The key of a kind that the server shows to who connects."""
    transport = server.transport()
    try:
        transport.get_security_options().key_types = [kind]
        transport.start_client(timeout=30)
        return bytes(transport.get_remote_server_key().asbytes())
    finally:
        transport.close()


def test_new_host_keys_are_shown_without_a_restart(server: SftpServer) -> None:
    types = {"ssh-ed25519": "ed25519", "ecdsa-sha2-nistp256": "ecdsa", "rsa-sha2-512": "rsa"}
    present = server.store.secrets[hostkeys.SECRET]
    with server.sftp() as client:
        before = {kind: shown(server, kind) for kind in types}
        assert [keys.parse(key.line)[1] for key in hostkeys.described(present).keys] == list(before.values())
        server.store.secrets[hostkeys.SECRET] = hostkeys.make(["ed25519"], present)
        server.wait_for(lambda: server.frontend._workers._setup.host_keys[0] not in present)
        after = {kind: shown(server, kind) for kind in types}
        assert [kind for kind in types if before[kind] != after[kind]] == ["ssh-ed25519"]
        assert client.listdir() == [], "a session that was open goes on"
        pids = server.frontend.worker_pids
    with server.sftp() as client:
        assert client.listdir() == [] and server.frontend.worker_pids == pids
