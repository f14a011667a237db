"""How uploaders behave: habits, connections that end in every state, and sessions replayed from published logs."""

from __future__ import annotations

import ftplib
import io
import re
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psutil
import pytest
from harness import Cluster
from pictures import picture, retrieve
from replays import REPLAYS, Replay
from waiting import eventually

pytestmark = pytest.mark.integration

WHOLE = picture("whole", 6_000_000)
HALF = 3_000_000


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("uploaders")) as running:
        yield running


@pytest.fixture
def ftp(cluster: Cluster) -> Iterator[ftplib.FTP]:
    with cluster.login("n1") as session:
        session.voidcmd("TYPE I")
        yield session


@pytest.fixture
def witness(cluster: Cluster) -> Iterator[ftplib.FTP]:
    """Another session, at another node."""
    with cluster.login("n2") as session:
        session.voidcmd("TYPE I")
        yield session


def put(ftp: ftplib.FTP, name: str, content: bytes, command: str = "STOR") -> None:
    ftp.storbinary(f"{command} {name}", io.BytesIO(content))


# Habits.


def test_temporary_name_then_rename_over_what_is_being_read(ftp: ftplib.FTP, witness: ftplib.FTP) -> None:
    put(ftp, "target.jpg", WHOLE)
    reading = witness.transfercmd("RETR target.jpg")
    put(ftp, "target.jpg.tmp", b"new")
    assert ftp.rename("target.jpg.tmp", "target.jpg").startswith("250")
    with reading:
        read = b"".join(iter(lambda: reading.recv(1 << 16), b""))
    assert witness.voidresp().startswith("226")
    assert read == WHOLE
    assert retrieve(witness, "target.jpg") == b"new"
    assert "target.jpg.tmp" not in witness.nlst()


def test_size_after_each_upload_list_before_each_and_one_connection(
    ftp: ftplib.FTP, witness: ftplib.FTP
) -> None:
    ftp.mkd("roll")
    ftp.cwd("roll")
    for number in range(25):
        name = f"DSC{number:05}.JPG"
        assert name not in ftp.nlst()
        lines: list[str] = []
        ftp.retrlines("LIST", lines.append)
        assert len(lines) == number
        content = picture(number, 100 * number)
        put(ftp, name, content)
        assert ftp.size(name) == len(content)
        assert witness.size(f"roll/{name}") == len(content)
    assert len(witness.nlst("roll")) == 25


def test_append_goes_on_where_size_says(ftp: ftplib.FTP, witness: ftplib.FTP) -> None:
    for start in range(0, 50_000, 10_000):
        put(ftp, "log.jpg", WHOLE[start : start + 10_000], "APPE")
        assert witness.size("log.jpg") == start + 10_000
    assert retrieve(witness, "log.jpg") == WHOLE[:50_000]


def test_sessions_in_one_directory_at_all_nodes(cluster: Cluster, witness: ftplib.FTP) -> None:
    witness.mkd("shared")

    def upload(number: int) -> None:
        with cluster.login(cluster.names[number % 3]) as session:
            session.cwd("shared")
            for count in range(5):
                put(session, f"{number}-{count}.jpg", picture(f"{number}-{count}", 20_000))
                put(session, "everybodys.jpg", picture(number, 30_000))

    with ThreadPoolExecutor(9) as pool:
        list(pool.map(upload, range(9)))
    expected = {f"{number}-{count}.jpg" for number in range(9) for count in range(5)}
    assert set(witness.nlst("shared")) == {f"shared/{name}" for name in (*expected, "everybodys.jpg")}
    assert retrieve(witness, "shared/everybodys.jpg") in [picture(number, 30_000) for number in range(9)]
    assert all(retrieve(witness, f"shared/{n}-4.jpg") == picture(f"{n}-4", 20_000) for n in range(9))


def test_empty_files_and_names_that_differ_in_case(ftp: ftplib.FTP, witness: ftplib.FTP) -> None:
    put(ftp, "empty.jpg", b"")
    assert witness.size("empty.jpg") == 0
    assert retrieve(witness, "empty.jpg") == b""
    put(ftp, "case.jpg", b"lower")
    put(ftp, "CASE.JPG", b"upper")
    assert (retrieve(witness, "case.jpg"), retrieve(witness, "CASE.JPG")) == (b"lower", b"upper")
    ftp.rename("case.jpg", "Case.jpg")
    assert retrieve(witness, "Case.jpg") == b"lower"
    ftp.mkd("album")
    ftp.rename("album", "Album")
    assert {"Album", "Case.jpg", "CASE.JPG"} <= set(witness.nlst())
    assert not {"album", "case.jpg"} & set(witness.nlst())


def test_a_directory_that_exists_is_refused_with_the_reason(ftp: ftplib.FTP) -> None:
    ftp.mkd("twice")
    for name in ("twice", "/twice", "twice/"):
        with pytest.raises(ftplib.error_perm, match=r"^550 .*exists"):
            ftp.mkd(name)
    put(ftp, "afile", b"x")
    with pytest.raises(ftplib.error_perm, match=r"^550 .*exists"):
        ftp.mkd("afile")
    assert ftp.pwd() == "/"


# Connections that end, in every state.


@dataclass
class Broken:
    """A session that is about to be cut: its control connection, and its data connection if it has one."""

    control: socket.socket
    data: socket.socket | None = None

    def end(self, *, reset: bool) -> None:
        """Cut it as a process does that is killed (control connection first), or as a lost network device."""
        for sock in (self.control, self.data):
            if sock is not None:
                if reset:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.close()


def connected(cluster: Cluster) -> ftplib.FTP:
    ftp = ftplib.FTP(timeout=60)
    ftp.connect(*cluster.address("n1"))
    return ftp


def logged_in(cluster: Cluster, *commands: str) -> ftplib.FTP:
    ftp = cluster.login("n1")
    for command in commands:
        ftp.sendcmd(command)
    return ftp


def before_login(cluster: Cluster) -> Broken:
    return Broken(connected(cluster).sock)


def after_half_a_command(cluster: Cluster) -> Broken:
    ftp = connected(cluster)
    ftp.sock.sendall(b"USER de")
    return Broken(ftp.sock)


def after_user(cluster: Cluster) -> Broken:
    ftp = connected(cluster)
    ftp.sendcmd("USER demo")
    return Broken(ftp.sock)


def before_reading_the_answer_to_pass(cluster: Cluster) -> Broken:
    ftp = connected(cluster)
    ftp.sock.sendall(b"USER demo\r\nPASS demo\r\nPWD\r\n")
    return Broken(ftp.sock)


def after_login(cluster: Cluster) -> Broken:
    return Broken(logged_in(cluster).sock)


def after_auth_tls(cluster: Cluster) -> Broken:
    ftp = connected(cluster)
    ftp.sendcmd("AUTH TLS")
    return Broken(ftp.sock)


def after_pasv(cluster: Cluster) -> Broken:
    return Broken(logged_in(cluster, "PASV").sock)


def after_connecting_data(cluster: Cluster) -> Broken:
    ftp = logged_in(cluster)
    return Broken(ftp.sock, socket.create_connection(ftp.makepasv()))


def after_stor_without_data(cluster: Cluster) -> Broken:
    ftp = logged_in(cluster, "TYPE I", "PASV")
    ftp.sock.sendall(b"STOR cut.jpg\r\n")
    return Broken(ftp.sock)


def after_port(cluster: Cluster) -> Broken:
    ftp = logged_in(cluster)
    with ftp.makeport():
        return Broken(ftp.sock)


def after_rnfr(cluster: Cluster) -> Broken:
    return Broken(logged_in(cluster, "RNFR there.jpg").sock)


def after_rest(cluster: Cluster) -> Broken:
    return Broken(logged_in(cluster, "TYPE I", "REST 100").sock)


def in_mid_upload(cluster: Cluster, command: str = "STOR") -> Broken:
    ftp = logged_in(cluster, "TYPE I")
    data = ftp.transfercmd(f"{command} cut.jpg")
    data.sendall(WHOLE[:HALF])
    # It has arrived, at least in part, before the end overtakes it.
    eventually(lambda: re.search(r" [1-9]\d* bytes moved", ftp.sendcmd("STAT")))
    return Broken(ftp.sock, data)


def in_mid_append(cluster: Cluster) -> Broken:
    return in_mid_upload(cluster, "APPE")


def in_mid_download(cluster: Cluster) -> Broken:
    ftp = logged_in(cluster, "TYPE I")
    data = ftp.transfercmd("RETR there.jpg")
    assert data.recv(1000)
    return Broken(ftp.sock, data)


def before_reading_a_listing(cluster: Cluster) -> Broken:
    ftp = logged_in(cluster)
    return Broken(ftp.sock, ftp.transfercmd("LIST"))


def before_reading_the_226(cluster: Cluster) -> Broken:
    ftp = logged_in(cluster, "TYPE I")
    with ftp.transfercmd("STOR done.jpg") as data:
        data.sendall(WHOLE)
    return Broken(ftp.sock)


STATES: list[Callable[[Cluster], Broken]] = [
    before_login,
    after_half_a_command,
    after_user,
    before_reading_the_answer_to_pass,
    after_login,
    after_auth_tls,
    after_pasv,
    after_connecting_data,
    after_stor_without_data,
    after_port,
    after_rnfr,
    after_rest,
    in_mid_upload,
    in_mid_append,
    in_mid_download,
    before_reading_a_listing,
    before_reading_the_226,
]


@pytest.fixture(scope="module")
def quiet(cluster: Cluster) -> int:
    """How many files the node has open when it has no session; and something to download is there."""
    with cluster.login("n1") as ftp:
        put(ftp, "there.jpg", WHOLE)
        retrieve(ftp, "there.jpg")
    eventually(lambda: open_sessions(cluster) == 0)
    return psutil.Process(cluster.pid("n1")).num_fds()


def open_sessions(cluster: Cluster) -> int:
    log = cluster.log("n1")
    return log.count("session opened") - log.count("session closed")


@pytest.mark.parametrize("reset", [True, False], ids=["reset", "fin"])
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_an_end_releases_everything_and_shows_no_half(
    cluster: Cluster, quiet: int, witness: ftplib.FTP, state: Callable[[Cluster], Broken], reset: bool
) -> None:
    before = witness.nlst()
    state(cluster).end(reset=reset)
    eventually(lambda: open_sessions(cluster) == 0)
    # A few descriptors of data connections are kept in stock.
    eventually(lambda: psutil.Process(cluster.pid("n1")).num_fds() <= quiet + 8)
    new = set(witness.nlst()) - set(before)
    assert new <= {"done.jpg"}
    for name in new:
        assert retrieve(witness, name) == WHOLE
        witness.delete(name)
    assert retrieve(witness, "there.jpg") == WHOLE
    if state in (in_mid_upload, in_mid_append):
        kept = eventually(lambda: witness.size("cut.jpg"))
        assert kept is not None
        assert 0 < kept <= HALF
        witness.storbinary("STOR cut.jpg", io.BytesIO(WHOLE[kept:]), rest=kept)
        assert retrieve(witness, "cut.jpg") == WHOLE
        witness.delete("cut.jpg")


# Replays.


class Player:
    """Sends the commands of a published log, one after another, and takes care of its data connections."""

    def __init__(self, address: tuple[str, int], replay: Replay) -> None:
        self.ftp = ftplib.FTP(timeout=60)
        self.ftp.connect(*address)
        self._data: socket.socket | None = None
        self._replay = replay

    def play(self) -> None:
        try:
            for command, expected in self._replay.steps:
                reply = self._send(command)
                assert re.match(expected, reply), f"{self._replay.name}: {command}: {reply!r}, not {expected}"
        finally:
            self.ftp.close()
            if self._data is not None:
                self._data.close()

    def _send(self, command: str) -> str:
        self.ftp.putcmd(command)
        try:
            reply = self.ftp.getresp()
        except ftplib.Error as error:
            return str(error)
        word = command.split()[0].upper()
        if word == "PASV":
            self._connect(ftplib.parse227(reply)[1])
        elif word == "EPSV":
            self._connect(ftplib.parse229(reply, self.ftp.sock.getpeername())[1])
        elif reply.startswith("150"):
            reply += "\n" + self._transfer(word)
        elif command == "AUTH TLS":
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.ftp.sock = context.wrap_socket(self.ftp.sock)
            self.ftp.file = self.ftp.sock.makefile(mode="r", encoding="utf-8")
        return reply

    def _connect(self, port: int) -> None:
        self._data = socket.create_connection((self.ftp.host, port), timeout=60)

    def _transfer(self, word: str) -> str:
        assert self._data is not None
        with self._data as data:
            if word in ("STOR", "APPE"):
                data.sendall(self._replay.content)
                read = b""
            else:
                read = b"".join(iter(lambda: data.recv(1 << 16), b""))
        return read.decode() + self.ftp.getresp()


@pytest.mark.parametrize("replay", REPLAYS, ids=lambda replay: replay.name)
def test_a_published_session(cluster: Cluster, witness: ftplib.FTP, replay: Replay) -> None:
    for command in replay.before:
        witness.sendcmd(command)
    Player(cluster.address("n3"), replay).play()
    for name in replay.stored:
        assert retrieve(witness, name) == replay.content
