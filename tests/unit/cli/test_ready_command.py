"""`pixraft ready`, against made-up answers of a node."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from commandline import pixraft

from ftpgateway.demo import ports

TOKEN = "0123456789abcdef"


class Node:
    """What it answers, and what it was asked."""

    def __init__(self) -> None:
        self.status = 200
        self.answer: dict[str, object] = {"ready": True, "reason": None, "writable": True, "not_writable": None}
        self.asked: list[tuple[str, str | None]] = []
        node = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                node.asked.append((self.path, self.headers.get("Authorization")))
                body = json.dumps(node.answer).encode()
                self.send_response(node.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.server_port}"


@pytest.fixture
def running() -> Iterator[Node]:
    made = Node()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def ready(file: Path, listen: str, *words: str, **environment: str) -> Result:
    given = {"PIXRAFT_METRICS_LISTEN": listen, **environment}
    return pixraft("ready", "--config", str(file), *words, env=given)


def test_a_node_that_is_ready(node: Path, running: Node) -> None:
    done = ready(node, running.address)
    assert (done.exit_code, done.stdout) == (0, "ready\n")
    running.answer |= {"writable": False, "not_writable": "its disk is full"}
    assert ready(node, running.address).stdout == "ready, but not for uploads: its disk is full\n"
    assert json.loads(ready(node, running.address, "-o", "json").stdout) == running.answer
    assert {path for path, _ in running.asked} == {"/readyz?verbose"}


def test_a_node_that_is_not(node: Path, running: Node) -> None:
    running.status, running.answer = 503, {"ready": False, "reason": "no majority of the cluster answers"}
    done = ready(node, running.address)
    assert (done.exit_code, "no majority of the cluster answers" in done.stderr) == (30, True)
    running.answer = {"ready": True, "not_writable": "its disk is full"}
    done = ready(node, running.address, "--writable")
    assert (done.exit_code, "its disk is full" in done.stderr) == (30, True)
    assert running.asked[-1][0] == "/readyz?verbose&writable"


def test_with_a_token_and_where_it_listens_everywhere(node: Path, running: Node, tmp_path: Path) -> None:
    (token := tmp_path / "token").write_text(TOKEN)
    token.chmod(0o600)
    everywhere = f"0.0.0.0:{running.server.server_port}"
    assert ready(node, everywhere, PIXRAFT_METRICS_CREDENTIALS_FILE=str(token)).exit_code == 0
    assert running.asked[-1][1] == f"Bearer {TOKEN}"
    token.write_text("short")
    assert ready(node, everywhere, PIXRAFT_METRICS_CREDENTIALS_FILE=str(token)).exit_code == 3


def test_a_node_that_does_not_answer_or_is_not_to(node: Path) -> None:
    (port,) = ports.free("127.0.0.1", 1)
    assert ready(node, f"127.0.0.1:{port}").exit_code == 5
    off = ready(node, "")
    assert (off.exit_code, "metrics.listen is empty" in off.stderr) == (3, True)
