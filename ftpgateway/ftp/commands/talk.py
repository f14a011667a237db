"""What a session says about itself and the server: FEAT, OPTS, HELP, STAT, and settings without effect."""

from __future__ import annotations

import re

from ftpgateway.ftp.gate import Phase
from ftpgateway.ftp.hashing import ALGORITHMS
from ftpgateway.ftp.listings import FACTS
from ftpgateway.ftp.session import BaseSession
from ftpgateway.ftp.table import command
from ftpgateway.serving.refusals import one_line

_HELP_COLUMNS = 8
_HOST = re.compile(r"\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Fa-f:.]{2,45}|[A-Za-z0-9_][A-Za-z0-9._-]{0,254}")

_FEATURES = (
    "AVBL",
    "CLNT",
    "CSID",
    "EPSV",
    "HOST",
    "LANG EN*",
    "MDTM",
    "MFF Modify;",
    "MFMT",
    "RANG STREAM",
    "REST STREAM",
    "RMDA <path>",
    "SITE UTIME",
    "SIZE",
    "TVFS",
    "UTF8",
    "XCRC",
    "XMD5",
    "XSHA1",
    "XSHA256",
    "XSHA512",
)
"""What FEAT tells of, beside what depends on the session or on the configuration."""


class TalkCommands(BaseSession):
    """The commands that touch neither names nor data."""

    # Settings that have no effect: pictures are byte streams, never converted.

    @command("TYPE", "accepted for A, I and L 8; files are transferred unchanged", syntax="A|I|L 8")
    def ftp_TYPE(self, line: str) -> None:
        """TYPE: accepted and without effect; pictures are never converted."""
        kind = line.upper().replace(" ", "")
        if kind in ("A", "AN", "L7"):
            self.respond("200 Type set to ASCII; files are transferred unchanged all the same.")
        elif kind in ("I", "L8"):
            self.respond("200 Type set to binary.")
        else:
            self.respond("504 Unsupported type; use I.")

    @command("STRU", "accepted for F, files without records", syntax="F")
    def ftp_STRU(self, line: str) -> None:
        """STRU."""
        if line.upper() == "F":
            self.respond("200 Structure set to F.")
        elif line.upper() in ("P", "R"):
            self.respond("504 Only structure F is there.")
        else:
            self.respond("501 Syntax: STRU F.")

    @command("MODE", "accepted for S, a stream of bytes", syntax="S")
    def ftp_MODE(self, line: str) -> None:
        """MODE."""
        if line.upper() == "S":
            self.respond("200 Mode set to S.")
        elif line.upper() in ("B", "C", "Z"):
            self.respond("504 Only mode S is there.")
        else:
            self.respond("501 Syntax: MODE S.")

    # Who the client is.

    @command("CLNT", "the client's name, for the log", source="usage", syntax="<name>", login=False)
    def ftp_CLNT(self, line: str) -> None:
        """CLNT."""
        self._note_client(line)
        self.respond("200 Noted.")

    @command(
        "CSID",
        "who the client is, and who the server",
        source="draft-peterson-streamlined-ftp-command-extensions",
        syntax="Name=<name>; Version=<version>;",
        login=False,
    )
    def ftp_CSID(self, line: str) -> None:
        """CSID."""
        self._note_client(line)
        self.respond("200 Name=pixraft; CaseSensitive=1; DirSep=/;")

    def _note_client(self, text: str) -> None:
        self.events.info("client", client=one_line(text[:200]))

    @command(
        "HOST",
        "the name by which the client knows the server; all names are the same here",
        source="RFC 7151",
        syntax="<name>",
        login=False,
    )
    def ftp_HOST(self, line: str) -> None:
        """HOST: before the login."""
        if self.login is not None:
            self.respond("503 HOST comes before USER.")
        elif not _HOST.fullmatch(line):
            self.respond("501 That is not the name of a host.")
        else:
            self.respond("220 Ready for a user.")

    @command(
        "LANG",
        "the language of replies: English only",
        source="RFC 2640",
        syntax="[EN]",
        login=False,
    )
    def ftp_LANG(self, line: str) -> None:
        """LANG."""
        if line.upper() == "EN" or not line or line.upper().startswith("EN-"):
            self.respond("200 English.")
        else:
            self.respond("504 There is only EN.")

    @command("ACCT", "accepted; there are no accounts beside users", syntax="<text>", login=False)
    def ftp_ACCT(self, line: str) -> None:
        """ACCT."""
        self.respond("202 Not needed here.")

    @command("NOOP", "nothing, but the session is not idle", login=False)
    def ftp_NOOP(self, line: str) -> None:
        """NOOP."""
        self.respond("200 Nothing done.")

    # What there is.

    @command("SYST", "what LIST looks like: that of UNIX", login=False)
    def ftp_SYST(self, line: str) -> None:
        """SYST."""
        self.respond("215 UNIX Type: L8")

    @command("FEAT", "what is there beyond RFC 959", source="RFC 2389", login=False)
    def ftp_FEAT(self, line: str) -> None:
        """FEAT: what is there beyond RFC 959."""
        facts = "".join(f"{fact}{'*' if fact in self.facts else ''};" for fact in FACTS)
        hashes = ";".join(f"{name}{'*' if name == self.algorithm else ''}" for name in ALGORITHMS)
        features = [*_FEATURES, f"MLST {facts}", f"HASH {hashes}"]
        if self.host.settings.active_mode:
            features.append("EPRT")
        if "AUTH" in self.known_commands:
            features += ["AUTH TLS", "PBSZ", "PROT"]
        self.push("211-Features:\r\n" + "".join(f" {feature}\r\n" for feature in sorted(features)))
        self.respond("211 End.")

    @command(
        "OPTS",
        "settings of a command: UTF8 ON; MLST and the facts that are wanted",
        source="RFC 2389",
        syntax="<command> [<options>]",
        login=False,
    )
    def ftp_OPTS(self, line: str) -> None:
        """OPTS UTF8 [ON], OPTS MLST facts."""
        name, _, argument = line.partition(" ")
        match name.upper():
            case "UTF8" | "UTF-8":
                if argument.upper() in ("", "ON"):
                    self.respond("200 Always in UTF8 mode.")
                else:
                    self.respond("504 Names are always UTF-8.")
            case "MLST":
                wanted = {fact.lower() for fact in argument.split(";")}
                self.facts = [fact for fact in FACTS if fact.lower() in wanted]
                self.respond("200 MLST OPTS " + "".join(f"{fact};" for fact in self.facts))
            case "HASH":
                if argument and argument.upper() not in ALGORITHMS:
                    self.respond(f"501 Algorithms are {', '.join(ALGORITHMS)}.")
                    return
                self.algorithm = argument.upper() or self.algorithm
                self.respond(f"200 {self.algorithm}")
            case _:
                self.respond("501 Only UTF8, MLST and HASH have options.")

    @command("HELP", "the commands, or the syntax of one", syntax="[<command>]", login=False)
    def ftp_HELP(self, line: str) -> None:
        """HELP."""
        self._help(line.upper(), "")

    @command("SITE HELP", "the commands of SITE, or the syntax of one", syntax="[<command>]", login=False)
    def ftp_SITE_HELP(self, line: str) -> None:
        """SITE HELP."""
        self._help(line.upper(), "SITE ")

    def _help(self, wanted: str, prefix: str) -> None:
        found = self.known_commands.get(f"{prefix}{wanted}")
        if found is not None:
            self.respond(f"214 {found.help}")
            return
        if wanted and (wanted != "SITE" or prefix):
            self.respond(f"501 There is no command {one_line(wanted[:32])} here.")
            return
        if wanted == "SITE":
            prefix = "SITE "
        names = sorted(
            [name.removeprefix(prefix) for name in self.known_commands if _under(name, prefix)]
            + ([] if prefix else ["SITE"])
        )
        self.push("214-Commands:\r\n")
        for start in range(0, len(names), _HELP_COLUMNS):
            self.push("".join(f" {name:<7}" for name in names[start : start + _HELP_COLUMNS]).rstrip() + "\r\n")
        self.respond(f"214 {prefix}HELP <command> tells its syntax.")

    def status_lines(self) -> list[str]:
        """Return what STAT without argument tells."""
        lines = [f"Logged in as: {self.login.name}" if self.login is not None else "Not logged in."]
        lines.append(f"Control connection: {'encrypted' if self.secured else 'not encrypted'}.")
        transfer = self.transfer
        if transfer is None:
            lines.append("No transfer under way.")
        elif transfer.phase is Phase.SETTLING:
            lines.append(
                f"{transfer.command}: {transfer.moved} bytes moved, waiting for the cluster to confirm."
            )
        else:
            lines.append(f"{transfer.command}: {transfer.moved} bytes moved so far.")
        return lines


def _under(name: str, prefix: str) -> bool:
    return name.startswith("SITE ") == bool(prefix)
