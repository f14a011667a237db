"""Inputs of the fuzz campaign: made from a seed, by grammar and by mutation. Pure."""

from __future__ import annotations

import random

_KNOWN = """
ABOR ACCT ADAT ALLO APPE AUTH AVBL CCC CDUP CLNT CONF CSID CWD DELE ENC EPRT EPSV FEAT HASH HELP HOST LANG LIST LPRT
LPSV MD5 MDTM MFCT MFF MFMT MIC MKD MLSD MLST MODE NLST NOOP OPTS PASS PASV PBSZ PORT PROT PWD QUIT RANG REIN REST RETR
RMD RMDA RNFR RNTO SITE SIZE SMNT STAT STOR STOU STRU SYST THMB TYPE USER XCRC XCUP XCWD XMD5 XMKD XPWD XRMD XSHA XSHA1
XSHA256 XSHA512
"""
VERBS = tuple(_KNOWN.split())

# What ends a session or its meaning is drawn rarely, so that the others get far.
_RARE = frozenset({"QUIT", "REIN", "AUTH", "PASS", "USER", "CCC"})
_OPENING = frozenset({"PORT", "EPRT", "LPRT"})
"""These make the server connect: only to where nobody listens."""

NAMES = (
    b"a.jpg",
    b"large.bin",
    b"d",
    b"d/e",
    b"d/e/f.jpg",
    b"",
    b"/",
    b".",
    b"..",
    b"../..",
    b"/../../etc/passwd",
    b"//a//b//",
    b"-la",
    b"-",
    b"--",
    b"-la d",
    b"*",
    b"[a-",
    b"?",
    b"~",
    b" ",
    b" a",
    b"a ",
    b'"quoted"',
    b'""',
    b"a\tb",
    b"a\x00b",
    b"a\rb",
    b"a\nb",
    b"\x7f\x1b[2J",
    b"\xff\xf4\xff\xf2",
    b"\xff\xff",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    "ä.jpg".encode(),
    "a\u0308.jpg".encode(),
    "\U0001f4f7\u200d\U0001f525".encode(),
    "\u202egpj.exe".encode(),
    b"%s%n%x",
    b"$(reboot)",
    b"CON",
    b"x" * 255,
    b"x" * 256,
    b"x" * 5000,
    b"d/" * 200 + b"x",
)

_WORDS = (
    b"0",
    b"1",
    b"-1",
    b"00",
    b"1e9",
    b"+5",
    b" 7",
    b"7 ",
    b"0x10",
    b"4294967296",
    b"9223372036854775807",
    b"9223372036854775808",
    b"9" * 400,
    "٣".encode(),
    b"NaN",
    b"20240229123456",
    b"20230229123456",
    b"99999999999999",
    b"20240229123456.789 a.jpg",
    b"00010101000000 a.jpg",
    b"20240229123456 large.bin",
    b"A",
    b"I",
    b"A N",
    b"E",
    b"L 8",
    b"L 0",
    b"F",
    b"S",
    b"B",
    b"C",
    b"P",
    b"TLS",
    b"TLS-P",
    b"SSL",
    b"GSSAPI",
    b"ALL",
    b"1",
    b"2",
    b"3",
    b"UTF8 ON",
    b"UTF8 OFF",
    b"UTF8",
    b"MLST type;size;",
    b"MLST ;;;;",
    b"MLST " + b"size;" * 300,
    b"HASH SHA-256",
    b"HASH",
    b"HASH XYZ",
    b"MODE Z LEVEL 9",
    b"SHA-1",
    b"0 10",
    b"10 0",
    b"0 0",
    b"a.jpg 0 10",
    b"a.jpg 5 2",
    b"large.bin 0 9999999999999",
    b"100 R 50",
    b"CHMOD 644 a.jpg",
    b"CHMOD 999 a.jpg",
    b"UTIME 20240101000000 a.jpg",
    b"UTIME a.jpg 1 2 3 UTC",
    b"HELP",
    b"MFMT 20240229123456 a.jpg",
    b"nobody",
    b"",
)

_TELNET = (b"\xff\xf4\xff\xf2", b"\xff\xf4\xf2", b"\xf2", b"\xff\xfb\x01", b"\xff\xff", b"\xff")
_ENDS = (b"\r\n",) * 30 + (b"\n", b"\r", b"\r\r\n", b"\n\r\n", b"\r\n\r\n", b"\0\r\n", b" \r\n")


def command(chance: random.Random) -> bytes:
    """Return one input for a control connection: nearly always a line with its end."""
    kind = chance.random()
    if kind < 0.62:
        line = _line(chance)
    elif kind < 0.85:
        line = mutated(chance, _line(chance, opening=False))
    elif kind < 0.90:
        line = chance.choice(_TELNET) + _line(chance)
    elif kind < 0.94:
        line = chance.randbytes(chance.randrange(1, 200))
    elif kind < 0.96:
        line = _line(chance, opening=False) + bytes([chance.randrange(256)]) * chance.choice(
            (100, 8190, 8192, 20_000)
        )
    elif kind < 0.98:
        return chance.randbytes(chance.choice((1, 7, 64, 3000)))  # no end of line
    else:
        line = b""
    return line + chance.choice(_ENDS)


def _line(chance: random.Random, *, opening: bool = True) -> bytes:
    verb = chance.choice(VERBS)
    if (verb in _RARE and chance.random() < 0.9) or (verb in _OPENING and not opening):
        verb = chance.choice(("NOOP", "LIST", "CWD", "MLST", "SIZE", "STAT", "RETR", "STOR"))
    shown = verb if chance.random() < 0.8 else "".join(chance.choice((c.lower(), c)) for c in verb)
    if chance.random() < 0.2:
        return shown.encode()
    return shown.encode() + b" " + _argument(chance, verb)


def _argument(chance: random.Random, verb: str) -> bytes:
    if verb == "PORT":
        # Port 1 is refused, 65535 and 1024 are beyond what anybody here listens on.
        address = chance.choice((b"127,0,0,1", b"10,0,0,1", b"127,0,0", b"256,0,0,1", b"", b"a,b,c,d"))
        return address + b"," + chance.choice((b"0,1", b"255,255", b"4,0", b"256,1", b"-1,5", b"1", b"0,0"))
    if verb in ("EPRT", "LPRT"):
        return chance.choice(
            (
                b"|1|127.0.0.1|65535|",
                b"|2|::1|1|",
                b"|3|x|1|",
                b"||||",
                b"|1|127.0.0.1|",
                b"1",
                b"|1|127.0.0.1|x|",
            )
        )
    if verb in (
        "REST",
        "ALLO",
        "OPTS",
        "TYPE",
        "MODE",
        "STRU",
        "PROT",
        "PBSZ",
        "AUTH",
        "SITE",
        "MFMT",
        "RANG",
        "EPSV",
    ):
        return chance.choice(_WORDS) if chance.random() < 0.85 else chance.choice(NAMES)
    return chance.choice(NAMES) if chance.random() < 0.85 else chance.choice(_WORDS)


def mutated(chance: random.Random, data: bytes) -> bytes:
    """Return `data` with some bytes changed, lost, doubled, put in or cut off."""
    changed = bytearray(data)
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(changed) + 1)
        match chance.randrange(6):
            case 0 if changed:
                changed[at % len(changed)] ^= 1 << chance.randrange(8)
            case 1:
                changed[at:at] = chance.randbytes(chance.randrange(1, 9))
            case 2:
                del changed[at : at + chance.randrange(1, 9)]
            case 3:
                part = changed[at : at + chance.randrange(1, 33)]
                changed[at:at] = part * chance.randrange(1, 4)
            case 4 if changed:
                changed[at % len(changed)] = chance.choice(b'\x00\x7f\x80\xff\r\n "/')
            case _:
                del changed[at:]
    return bytes(changed)


def portions(chance: random.Random, data: bytes) -> list[bytes]:
    """Return `data` as it might arrive: as a whole, in a few pieces, or byte by byte."""
    kind = chance.random()
    if kind < 0.5 or len(data) < 2:
        return [data]
    if kind < 0.97:
        cuts = sorted(chance.randrange(len(data)) for _ in range(chance.randrange(1, 6)))
    else:
        cuts = list(range(1, min(len(data), 60)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True) if start < end]
