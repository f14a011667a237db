"""Real clients put pictures to a person, each in its own ways: one picture in the inbox for each, when it is whole.

The clients are those of docs/clients.md. What they check after an upload must hold in /send as it does elsewhere.
"""

from __future__ import annotations

import contextlib
import ftplib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from clientops import MTIME, Bench, tree_of
from harness import Cluster
from openssh import OpenSsh
from persons import asked, names, put_person, sftp, store
from pictures import picture, retrieve
from realclients import Client, NotHere, NotSupported, Target
from realclients_python import Aioftp, Fsspec, Ftplib
from realclients_scripted import Psftp
from realclients_sftp import CurlSftp, LftpSftp, OpenSshSftp, Paramiko, RcloneSftp
from realclients_shell import Curl, Lftp, Rclone
from realclients_typed import InetutilsFtp, Ncftp, Tnftp
from waiting import eventually

pytestmark = pytest.mark.integration

CLIENTS: list[type[Client]] = [
    *(Curl, Lftp, Ncftp, Tnftp, InetutilsFtp, Rclone, Ftplib, Aioftp, Fsspec),
    *(OpenSshSftp, LftpSftp, CurlSftp, RcloneSftp, Paramiko),
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("clients"), sftp=True) as running:
        for number in range(len(CLIENTS)):
            put_person(running, f"to{number}")
        put_person(running, "anna")
        put_person(running, "bob")
        yield running


class Sending(Bench):
    """A client, and a sender's session in the directory of who is to get it all."""

    def __init__(self, client: Client, reference: ftplib.FTP, recipient: str) -> None:
        self.client = client
        self.reference = reference
        self.work = client.work
        self.directory = f"/send/{recipient}"
        self.expected: dict[str, bytes] = {}

    def made(self, name: str, content: bytes) -> Path:
        """Write a local file that is to be in the inbox once."""
        self.expected[name] = content
        return self.local(name, content)


def upload_twice(bench: Sending) -> None:
    """As after a reply that was lost; and what it lists must have it."""
    local = bench.made("up.jpg", picture("up", 300_000))
    for _ in range(2):
        bench.client.put(local, bench.at("up.jpg"))
    assert "up.jpg" in bench.client.names(bench.directory)


def temporary_name(bench: Sending) -> None:
    bench.client.put_finished(bench.made("finished.jpg", picture("finished", 90_000)), bench.at("finished.jpg"))


def time_of_change(bench: Sending) -> None:
    local = bench.made("dated.jpg", picture("dated", 1000))
    os.utime(local, (MTIME, MTIME))
    bench.client.put_dated(local, bench.at("dated.jpg"))
    assert bench.modified("dated.jpg") == MTIME


def resumed(bench: Sending) -> None:
    if "resume an upload" in bench.client.exceptions:
        raise NotSupported(bench.client.exceptions["resume an upload"])
    content = picture("resume", 1_500_000)
    bench.begun("resumed.jpg", content[:700_000])
    bench.client.resume_up(bench.made("resumed.jpg", content), bench.at("resumed.jpg"))


def many(bench: Sending) -> None:
    files = [bench.local(f"many/{n}.jpg", picture(n, 2_000 + n)) for n in range(8)]
    bench.client.put_many(files, bench.directory)
    bench.expected |= {file.name: file.read_bytes() for file in files}


def parallel(bench: Sending) -> None:
    files = [bench.local(f"parallel/p{n}.jpg", picture(n, 9_000 + n)) for n in range(6)]
    bench.client.put_parallel(files, bench.directory)
    bench.expected |= {file.name: file.read_bytes() for file in files}


def tree(bench: Sending) -> None:
    """Its directories travel along. Some do it twice, and must find that nothing is to be done."""
    for name in ("a.jpg", "sub/b c.jpg", "sub/deep/ü–😀.jpg"):
        bench.made(f"tree/{name}", picture(name, 5_000))
    bench.client.mirror_up(bench.work / "local" / "tree", bench.at("tree"))


WAYS: tuple[Callable[[Sending], None], ...] = (
    *(upload_twice, temporary_name, time_of_change, resumed, many, parallel, tree),
)


PIECEMEAL = {Fsspec: (temporary_name,)}
"""Each block of a file is an upload of its own (STOR after REST), that ends with a 226, and so each is delivered: such
a client has to use a name for writing. All others do all that they can.
"""


def inbox(ftp: ftplib.FTP, directory: str) -> dict[str, bytes]:
    """Return all that lies in a directory and below, by path."""
    found = {}
    for name, facts in ftp.mlsd(directory):
        if facts["type"] == "dir":
            found |= {f"{name}/{path}": content for path, content in inbox(ftp, f"{directory}/{name}").items()}
        elif facts["type"] == "file":
            found[name] = retrieve(ftp, f"{directory}/{name}")
    return found


@pytest.mark.parametrize("kind", CLIENTS, ids=lambda kind: kind.name)
def test_each_way_of_a_client_ends_with_one_picture(
    kind: type[Client], cluster: Cluster, tmp_path: Path
) -> None:
    if not kind.installed():
        if os.environ.get("CI"):
            pytest.fail(f"{kind.program} is not installed")
        pytest.skip(f"{kind.program} is not installed")
    recipient = f"to{CLIENTS.index(kind)}"
    address = cluster.address("n1") if kind.protocol == "FTP" else cluster.sftp_address("n1")
    done = set()
    with cluster.login("n2", "anna") as anna, cluster.login("n3", recipient) as reader:
        anna.voidcmd("TYPE I")
        bench = Sending(kind(Target(*address, "anna", "anna"), tmp_path), anna, recipient)
        for way in PIECEMEAL.get(kind, WAYS):
            expected = dict(bench.expected)
            try:
                way(bench)
            except (NotSupported, NotHere):
                bench.expected = expected
                continue
            done.add(way)
            assert inbox(reader, "/inbox/anna") == bench.expected, way.__name__
            assert inbox(anna, bench.directory) == bench.expected, way.__name__
        assert done & {upload_twice, temporary_name}
        (tmp_path / "reader").mkdir()
        taking = kind(Target(*address, recipient, recipient), tmp_path / "reader")
        with contextlib.suppress(NotSupported):
            taking.mirror_down("/inbox/anna", tmp_path / "anna")
            assert tree_of(tmp_path / "anna") == bench.expected
        assert inbox(reader, "/inbox/anna") == bench.expected


def test_curl_makes_directories_and_rclone_finds_what_it_copied(cluster: Cluster, tmp_path: Path) -> None:
    if not Curl.installed() or not Rclone.installed():
        pytest.skip("curl or rclone is not installed")
    for place in ("curl", "rclone"):
        (tmp_path / place).mkdir()
    content = picture("dirs", 20_000)
    with cluster.login("n2", "anna") as anna, cluster.login("n3", "bob") as bob:
        target = Target(*cluster.address("n1"), "anna", "anna")
        curl = Sending(Curl(target, tmp_path / "curl"), anna, "bob")
        assert isinstance(curl.client, Curl)
        url = curl.client._url("/send/bob/2026/party/a.jpg")
        curl.client._curl("--ftp-create-dirs", "-T", str(curl.local("a.jpg", content)), url)
        assert inbox(bob, "/inbox/anna") == {"2026/party/a.jpg": content}
        rclone = Sending(Rclone(target, tmp_path / "rclone"), anna, "bob")
        assert isinstance(rclone.client, Rclone)
        local = rclone.local("new/b.jpg", content).parent
        for _ in range(2):
            rclone.client._rclone("copy", str(local), "remote:/send/bob/new")
            rclone.client._rclone("check", "--one-way", "--download", str(local), "remote:/send/bob/new")
        assert inbox(bob, "/inbox/anna") == {"2026/party/a.jpg": content, "new/b.jpg": content}


# What programs with windows do, by their commands.


def test_finder_and_others_write_empty_files_and_forks_first(cluster: Cluster) -> None:
    """Finder by SFTP: an empty file, its `._` fork, the content, the time; the fork is the sender's alone."""
    content = picture("finder", 40_000)
    with sftp(cluster, "n1", "bob") as bob, sftp(cluster, "n2", "anna") as anna:
        assert {"inbox", "send", "shared", "trash"} <= set(bob.listdir("/"))
        bob.stat("/send/anna")
        with pytest.raises(OSError):
            bob.stat("/send/anna/x.jpg")
        bob.open("/send/anna/x.jpg", "x").close()
        assert bob.stat("/send/anna/x.jpg").st_size == 0
        with bob.open("/send/anna/._x.jpg", "w") as fork:
            fork.write(b"Mac OS X")
        with bob.open("/send/anna/.DS_Store", "w") as hidden:
            hidden.write(b"Bud1")
        assert anna.listdir("/inbox") == []
        with bob.open("/send/anna/x.jpg", "r+") as file:
            file.write(content[:30_000])
            bob.utime("/send/anna/x.jpg", (MTIME, MTIME))
            assert "bob" not in anna.listdir("/inbox")
            file.write(content[30_000:])
        bob.utime("/send/anna/x.jpg", (MTIME, MTIME))
        bob.chmod("/send/anna/x.jpg", 0o644)
        status = bob.stat("/send/anna/x.jpg")
        assert (status.st_size, status.st_mtime) == (len(content), MTIME)
        assert anna.listdir("/inbox/bob") == ["x.jpg"]
        with anna.open("/inbox/bob/x.jpg") as came:
            assert came.read() == content
        # Taken away again, fork first.
        bob.remove("/send/anna/._x.jpg")
        bob.remove("/send/anna/.DS_Store")


def test_an_sftp_client_that_dies_delivers_nothing_and_goes_on_later(cluster: Cluster) -> None:
    content = picture("dies", 300_000)
    with cluster.login("n1", "to3") as reader:
        with sftp(cluster, "n2", "bob") as files:
            file = files.open("/send/to3/d.jpg", "w")
            file.write(content[:200_000])
            assert files.stat("/send/to3/d.jpg").st_size == 200_000
            files.get_channel().get_transport().close()
        assert "bob" not in names(reader, "/inbox")
        with sftp(cluster, "n3", "bob") as files:
            begun = eventually(lambda: files.stat("/send/to3/d.jpg").st_size)
            assert begun == 200_000
            with files.open("/send/to3/d.jpg", "r+") as file:
                file.seek(begun)
                file.write(content[begun:])
        assert inbox(reader, "/inbox/bob") == {"d.jpg": content}


def test_rclone_moves_an_inbox_away(cluster: Cluster, tmp_path: Path) -> None:
    if not Rclone.installed():
        pytest.skip("rclone is not installed")
    content = picture("moved", 30_000)
    with cluster.login("n1", "bob") as bob, cluster.login("n2", "to4") as reader:
        assert store(bob, "/send/to4/a.jpg", content).startswith("226")
        client = Rclone(Target(*cluster.address("n3"), "to4", "to4"), tmp_path)
        client._rclone("move", "remote:/inbox/bob", str(tmp_path / "got"))
        assert tree_of(tmp_path / "got") == {"a.jpg": content}
        assert "bob" not in names(reader, "/inbox"), "a directory goes with the last file in it"


WRITING = {
    "rsync": ".r.jpg.Xa3f9Q",
    "WinSCP": "r.jpg.filepart",
    "Windows": "~r.tmp",
    "lftp": ".in.r.jpg.",
    "Cyberduck": "r.jpg.part",
    "rclone": "r.jpg.1a2b3c4d.partial",
}


@pytest.mark.parametrize("program", WRITING)
def test_names_for_writing_are_delivered_when_they_are_renamed(cluster: Cluster, program: str) -> None:
    """By FTP and by SFTP, with the time set before or after."""
    name, content = WRITING[program], picture(program, 9_000)
    final = f"{program}.jpg"
    with (
        cluster.login("n1", "bob") as bob,
        cluster.login("n3", "anna") as anna,
        sftp(cluster, "n2", "bob") as files,
    ):
        before = names(anna, "/inbox")
        with bob.transfercmd(f"STOR /send/to0/{name}") as data:
            data.sendall(content[:5000])
        assert bob.voidresp().startswith("226")
        bob.voidcmd("TYPE I")
        with bob.transfercmd(f"STOR /send/to0/{name}", rest=5000) as data:
            data.sendall(content[5000:])
        assert bob.voidresp().startswith("226") and bob.size(f"/send/to0/{name}") == len(content)
        bob.sendcmd(f"MFMT 20200913122640 /send/to0/{name}")
        with cluster.login("n3", "to0") as reader:
            came = names(reader, "/inbox/bob") if "bob" in names(reader, "/inbox") else []
            assert name not in came and final not in came
            bob.rename(f"/send/to0/{name}", f"/send/to0/{final}")
            assert names(reader, "/inbox/bob") == sorted([*came, final])
            assert retrieve(reader, f"/inbox/bob/{final}") == content
            bob.sendcmd(f"MFMT 20200913122640 /send/to0/{final}")  # FileZilla, after the upload
            assert bob.sendcmd(f"MDTM /send/to0/{final}") == "213 20200913122640"
            second = f"by sftp {final}"
            with files.open(f"/send/to0/{name}", "w") as file:
                file.write(content[::-1])
            files.utime(f"/send/to0/{name}", (MTIME, MTIME))
            files.posix_rename(f"/send/to0/{name}", f"/send/to0/{second}")
            files.utime(f"/send/to0/{second}", (MTIME, MTIME))
            assert retrieve(reader, f"/inbox/bob/{second}") == content[::-1]
            assert sum(name in (final, second) for name in names(reader, "/inbox/bob")) == 2
        assert names(anna, "/inbox") == before


def test_windows_stores_twice_and_gets_one_delivered(cluster: Cluster) -> None:
    """Explorer by FTP: STOR of nothing, then STOR of all; with a check of the size between."""
    content = picture("windows", 12_000)
    with cluster.login("n1", "bob") as bob, cluster.login("n2", "to1") as reader:
        bob.voidcmd("TYPE I")
        bob.cwd("/send/to1")
        for part in (b"", content):
            with bob.transfercmd("STOR New Picture.jpg") as data:
                data.sendall(part)
            assert bob.voidresp().startswith("226") and bob.size("New Picture.jpg") == len(part)
        bob.rename("New Picture.jpg", "New Picture.jpg")
        assert inbox(reader, "/inbox/bob") == {"New Picture.jpg": content}


def test_the_mounts_are_told_of_truthfully(cluster: Cluster) -> None:
    """Each by LIST, MLSD, MLST, SIZE and CWD, and by stat and readdir; what one tells the others tell, too."""
    content = picture("told", 1234)
    with (
        cluster.login("n1", "bob") as bob,
        cluster.login("n2", "to2") as reader,
        sftp(cluster, "n3", "to2") as files,
    ):
        for path in ("/send/to2/t.jpg", "/shared/t.jpg"):
            with bob.transfercmd(f"STOR {path}") as data:
                data.sendall(content)
            assert bob.voidresp().startswith("226")
        with reader.transfercmd("STOR /t.jpg") as data:
            data.sendall(content)
        assert reader.voidresp().startswith("226")
        reader.delete("/t.jpg")
        reader.voidcmd("TYPE I")
        for directory in ("/", "/inbox", "/inbox/bob", "/send", "/send/bob", "/shared", "/trash"):
            assert reader.cwd(directory).startswith("250") and reader.pwd() == directory
            assert "type=dir" in reader.sendcmd(f"MLST {directory}").lower()
            assert stat.S_ISDIR(files.stat(directory).st_mode or 0)
            lines: list[str] = []
            reader.retrlines("LIST", lines.append)
            by_mlsd = {name: facts for name, facts in reader.mlsd("") if facts["type"] in ("file", "dir")}
            by_sftp = {each.filename: each for each in files.listdir_attr(directory)}
            assert {line.split(None, 8)[8]: line[0] == "d" for line in lines} == {
                name: facts["type"] == "dir" for name, facts in by_mlsd.items()
            }
            assert {name: stat.S_ISDIR(each.st_mode or 0) for name, each in by_sftp.items()} == {
                name: facts["type"] == "dir" for name, facts in by_mlsd.items()
            }
            for name, facts in by_mlsd.items():
                path = f"{directory.rstrip('/')}/{name}"
                facts_of = reader.sendcmd(f"MLST {path}").splitlines()[1].split("; ")[0].lower()
                shown = files.stat(path)
                if facts["type"] == "dir":
                    assert "type=dir" in facts_of and stat.S_ISDIR(shown.st_mode or 0)
                    continue
                size, modified = int(facts["size"]), facts["modify"][:14]
                assert f"size={size}" in facts_of and f"modify={modified}" in facts_of
                assert reader.size(name) == size == shown.st_size == by_sftp[name].st_size
                assert reader.sendcmd(f"MDTM {path}") == f"213 {modified}"
                assert shown.st_mtime == by_sftp[name].st_mtime
        for path in ("/inbox/bob/t.jpg", "/shared/t.jpg", "/trash/t.jpg"):
            assert reader.size(path) == files.stat(path).st_size == len(content)


REASON = "carol takes no pictures from you"
SAYS = {
    **dict.fromkeys(("tnftp", "inetutils ftp", "lftp", "rclone", "ftplib", "aioftp", "fsspec"), REASON),
    **dict.fromkeys(("lftp, SFTP", "scp -O"), REASON),
    **dict.fromkeys(("OpenSSH sftp", "scp", "psftp, PuTTY", "paramiko"), "no such file or directory"),
    "curl": "got 550",
    "ncftp": "could not send file",
    "rclone, SFTP": "file does not exist",
    "curl, SFTP": "",
}
"""What each client tells of it. curl takes no notice of what an SFTP server answers to the end of a file."""


def scp_says(cluster: Cluster, place: Path, *how: str) -> str:
    """Send a picture by scp; return what it says when that is refused."""
    ssh = OpenSsh(place, cluster.sftp_address("n1")[1], "anna", "anna")
    (place / "a.jpg").write_bytes(b"by scp")
    done = ssh.scp(*how, "a.jpg", "{}:/send/carol/s.jpg")
    assert done.returncode != 0
    return done.stderr


def test_what_clients_say_of_a_refusal_that_comes_with_the_end_of_a_file(
    cluster: Cluster, tmp_path: Path
) -> None:
    put_person(cluster, "carol")
    with cluster.login("n1", "anna") as anna:
        assert store(anna, "/send/carol/first.jpg", b"first").startswith("226")
    asked(cluster, "user", "block", "carol", "anna")
    said = {}
    for number, kind in enumerate((*CLIENTS, Psftp)):
        if not kind.installed():
            continue
        (place := tmp_path / str(number)).mkdir()
        address = cluster.address("n1") if kind.protocol == "FTP" else cluster.sftp_address("n1")
        (local := place / "a.jpg").write_bytes(picture(kind.name, 2_000))
        client = kind(Target(*address, "anna", "anna"), place)
        said[kind.name] = ""
        try:
            client.put(local, f"/send/carol/{number}.jpg")
        except Exception as error:  # each library has its own
            said[kind.name] = str(error)
    if OpenSshSftp.installed():
        said |= {
            "scp": scp_says(cluster, tmp_path / "scp"),
            "scp -O": scp_says(cluster, tmp_path / "scp", "-O"),
        }
    for name, words in said.items():
        assert SAYS[name].lower() in words.lower() and bool(SAYS[name]) is bool(words), (name, words)
        assert SAYS[name] == REASON or REASON not in words, (name, words)
    with cluster.login("n3", "carol") as carol:
        assert inbox(carol, "/inbox/anna") == {"first.jpg": b"first"}
