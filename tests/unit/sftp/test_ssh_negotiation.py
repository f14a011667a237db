"""What client and server agree on before keys are exchanged, and guesses (RFC 4253, 7)."""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import replace
from typing import Any

import paramiko
import pytest
from paramiko.kex_curve25519 import KexCurve25519
from sshpair import ByHand, pair
from waiting import DEADLINE

from ftpgateway.sftp.ssh import negotiation, publickeys, sshkex
from ftpgateway.sftp.ssh.negotiation import Disagreement, Offer, agree
from ftpgateway.sftp.ssh.sshfields import Malformed, string

NONE = ("none",)
CTR, GCM, ETM = ("aes128-ctr",), ("aes256-gcm@openssh.com",), ("hmac-sha2-256-etm@openssh.com",)
OURS = Offer(
    kex=("curve25519-sha256", "ecdh-sha2-nistp256", "kex-strict-s-v00@openssh.com"),
    host_keys=("ssh-ed25519", "rsa-sha2-512"),
    ciphers_to_server=GCM + CTR,
    ciphers_to_client=GCM + CTR,
    macs_to_server=ETM,
    macs_to_client=ETM,
    compression_to_server=NONE,
    compression_to_client=NONE,
    guesses=False,
)
CURVE = "curve25519-sha256@libssh.org"


def agreed(**theirs: Any) -> negotiation.Agreed:
    return agree(replace(OURS, **theirs), OURS, sshkex.GCM)


def test_a_cipher_that_brings_its_own_mac_needs_none_in_common() -> None:
    for macs in ((), ("umac-64@openssh.com",)):
        both = agreed(ciphers_to_server=GCM, ciphers_to_client=GCM, macs_to_server=macs, macs_to_client=macs)
        assert (both.cipher_in, both.mac_in, both.mac_out) == (GCM[0], "", "")
        one = agreed(ciphers_to_server=CTR, ciphers_to_client=GCM, macs_to_client=macs)
        assert (one.cipher_in, one.mac_in, one.cipher_out, one.mac_out) == (CTR[0], ETM[0], GCM[0], "")
        with pytest.raises(Disagreement, match="no MAC in common; the client has"):
            agreed(ciphers_to_server=CTR, macs_to_server=macs)
        with pytest.raises(Disagreement, match="no MAC in common; the client has"):
            agreed(ciphers_to_client=CTR, macs_to_client=macs)


def test_the_clients_order_counts_and_markers_are_no_algorithms() -> None:
    assert agreed(ciphers_to_server=CTR + GCM).cipher_in == CTR[0]
    with pytest.raises(Disagreement, match="key exchange"):
        agreed(kex=("kex-strict-s-v00@openssh.com", "ext-info-c"))
    with pytest.raises(Disagreement, match=r"host key algorithm in common; the client has (\w+, ){12}\.\.\.$"):
        agreed(host_keys=tuple("x" * 5 for _ in range(100)))
    with pytest.raises(Disagreement, match="cipher in common; the client has none"):
        agreed(ciphers_to_client=())
    with pytest.raises(Disagreement, match="compression"):
        agreed(compression_to_client=("zlib",))
    assert agreed(compression_to_server=("zlib@openssh.com", "none")).kex == "curve25519-sha256"


def test_a_guess_is_right_when_both_like_the_same_best() -> None:
    for guesses in (False, True):
        assert not agreed(guesses=guesses).wrong_guess
        for wrong in ({"kex": OURS.kex[1::-1]}, {"host_keys": OURS.host_keys[::-1]}):
            assert agreed(guesses=guesses, **wrong).wrong_guess == guesses


def test_kexinit_is_read_as_it_was_written_and_not_when_it_is_cut() -> None:
    lists = [b",".join(name.encode() for name in names) for names in (OURS.kex, OURS.host_keys)]
    content = os.urandom(16) + b"".join(map(string, [*lists, *[b""] * 8])) + b"\1" + bytes(4)
    offer, size = Offer.parse(content + b"\0")  # old OpenSSH adds a byte, which is not part of what is signed
    assert size == len(content)
    assert (offer.kex, offer.host_keys, offer.macs_to_client, offer.guesses) == (
        OURS.kex,
        OURS.host_keys,
        (),
        True,
    )
    for cut in range(len(content)):
        with pytest.raises(Malformed):
            Offer.parse(content[:cut])


class Guessing(ByHand):
    """Sends its part of the exchange that it likes best at once."""

    _preferred_kex = (CURVE, "ecdh-sha2-nistp256")

    def __init__(self, sock: Any) -> None:
        super().__init__(sock)
        self.engine = KexCurve25519(self)
        self.right = False
        self.sent: list[int] = []

    def _send_message(self, message: paramiko.Message) -> None:
        data = message.asbytes()
        self.sent.append(data[0])
        if data[0] == 20 and not self.initial_kex_done:
            data = data[:-5] + b"\1" + data[-4:]
            self.local_kex_init = self._latest_kex_init = data
            super()._send_message(paramiko.Message(data))
            self.engine.start_kex()
            if self.right:
                self._kex_info = {CURVE: self._guessed}
            return
        super()._send_message(message)

    def _guessed(self, transport: paramiko.Transport) -> KexCurve25519:
        """The exchange that has begun already."""
        self.engine.start_kex = lambda: self._expect_packet(31)
        return self.engine


class GuessingRight(Guessing):
    def __init__(self, sock: Any) -> None:
        super().__init__(sock)
        self.right = True


CURVE_FIRST = sshkex.MODERN._replace(kex=(CURVE, "ecdh-sha2-nistp256"))
ECDH_FIRST = sshkex.MODERN._replace(kex=CURVE_FIRST.kex[::-1])


@pytest.mark.parametrize("strict", [True, False])
def test_a_wrong_guess_is_passed_over_and_a_right_one_taken(
    monkeypatch: pytest.MonkeyPatch, strict: bool
) -> None:
    if not strict:
        send = paramiko.Transport.__init__
        monkeypatch.setattr(
            paramiko.Transport, "__init__", lambda self, *a, **o: send(self, *a, **o, strict_kex=strict)
        )
    for kind, algorithms, parts in ((Guessing, ECDH_FIRST, 2), (GuessingRight, CURVE_FIRST, 1)):
        monkeypatch.setattr(kind, "_preferred_keys", ("ecdsa-sha2-nistp256",))
        with pair(kind, algorithms=algorithms) as made:
            assert made.client.sent.count(30) == parts  # type: ignore[attr-defined]
            made.client.logs_in()
            assert made.stands and made.server.agreed_on_strict_kex == strict


@pytest.mark.parametrize("name", sshkex.MODERN.kex + sshkex.algorithms(legacy=True).kex[-1:])
def test_each_exchange_works(name: str) -> None:
    class Choosing(ByHand):
        _kex_info = sshkex.KEX
        _preferred_kex = (name,)

        def __init__(self, sock: Any) -> None:
            super().__init__(sock)
            if name.startswith("diffie"):  # ours are for servers
                engine = type("Stock", (paramiko.kex_group14.KexGroup14SHA256,), {})
                engine.hash_algo = sshkex.KEX[name].hash_algo
                self._kex_info = {name: engine}

    with pair(Choosing, algorithms=sshkex.algorithms(legacy=True)) as made:
        made.client.logs_in()


def test_what_old_devices_need_is_a_switch() -> None:
    new, all_ = sshkex.algorithms(legacy=False), sshkex.algorithms(legacy=True)
    old = {"ssh-rsa", "diffie-hellman-group14-sha1", "hmac-sha1", "aes128-cbc", "aes256-cbc", "3des-cbc"}
    for modern, with_old in zip(new, all_, strict=True):
        assert with_old[: len(modern)] == modern  # liked less than everything else
        assert not old.intersection(modern)
    assert set().union(*all_) - set().union(*new) == old
    costly = ("exchange", "group16", "group18")
    assert not any(word in name for name in all_.kex for word in costly)

    class Old(ByHand):
        _preferred_kex = ("diffie-hellman-group14-sha1",)
        _preferred_keys = _preferred_pubkeys = ("ssh-rsa",)
        _preferred_ciphers = ("3des-cbc",)
        _preferred_macs = ("hmac-sha1",)
        _key_info = {"ssh-rsa": sshkex.RsaHostKey}
        _kex_info = {
            "diffie-hellman-group14-sha1": type(
                "Sha1", (paramiko.kex_group14.KexGroup14SHA256,), {"hash_algo": hashlib.sha1}
            )
        }

    with pair(Old, algorithms=all_) as made:
        assert made.client.host_key_type == publickeys.SHA1
        made.client.logs_in()
    with pair(Old, start=False) as made:
        with pytest.raises(paramiko.SSHException):
            made.client.start_client(timeout=DEADLINE)
        assert made.over().startswith(f"no key exchange in common; the client has {Old._preferred_kex[0]}, ")


def test_strangers_get_few_exchanges_and_none_before_they_do_their_part() -> None:
    with pair() as made:
        with pytest.raises((paramiko.SSHException, EOFError)):
            for _ in range(20):
                made.client.renegotiate_keys()
        assert made.over() == "too many key exchanges before a login"

    group = sshkex.KEX["diffie-hellman-group14-sha256"]
    for number in (0, 1, group.P - 1, group.P, 2**4000, 2**250_000):

        class Odd(ByHand):
            _preferred_kex = ("diffie-hellman-group14-sha256",)
            value = number

            def _send_message(self, message: paramiko.Message) -> None:
                if message.asbytes()[0] == 30:
                    message = paramiko.Message(b"\x1e")
                    message.packet.seek(1)
                    message.add_mpint(self.value)
                super()._send_message(message)

        with pair(Odd, start=False) as made:
            made.client.start_client(threading.Event())
            assert "not of the group" in made.over() or "a packet of" in made.over()


def test_at_most_one_stranger_has_its_exchange_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Engine:
        def __init__(self, transport: object) -> None:
            self.transport = transport

        def parse_next(self, kind: int, message: object) -> None:
            inside.append(threading.current_thread())
            entered.release()
            leave.wait(DEADLINE)
            assert kind == 30

    class Transport:
        def __init__(self, known: bool) -> None:
            self.known = known

        def is_authenticated(self) -> bool:
            return self.known

    monkeypatch.setattr(sshkex, "KEX", {"x": Engine})
    inside: list[threading.Thread] = []
    entered, leave = threading.Semaphore(0), threading.Event()
    threads = [
        threading.Thread(target=sshkex.engine("x", Transport(known)).parse_next, args=(30, None), daemon=True)
        for known in (False, False, False, True)
    ]
    for thread in threads:
        thread.start()
    for _ in range(2):  # a stranger, and the one who has logged in
        assert entered.acquire(timeout=DEADLINE)
    assert not entered.acquire(timeout=0.2) and threads[3] in inside
    leave.set()
    for thread in threads:
        thread.join(DEADLINE)
    assert set(inside) == set(threads)
