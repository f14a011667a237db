"""The option --node of commands that make a cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import click

from ftpgateway.cli.helpers import bundle

SFTP_STEP = 10
"""Between the SFTP ports of nodes on one host: the next ones above 2022 are where others look for a free one, too."""


class NodeSpecs(click.ParamType[bundle.NodeSpec]):
    """A node to be, and where it can be reached."""

    name = (
        "NAME=HOST:PORT[,ftp=HOST:PORT][,sftp=HOST:PORT][,metrics=HOST:PORT][,web=HOST:PORT][,listen=HOST:PORT]"
    )

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> bundle.NodeSpec:
        """Read it."""
        try:
            return bundle.NodeSpec.parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def own_ports(nodes: Sequence[bundle.NodeSpec]) -> list[bundle.NodeSpec]:
    """Give nodes on the same host FTP and SFTP ports of their own where none was asked for."""
    taken: Counter[str] = Counter()
    taken_sftp: Counter[str] = Counter()
    given = []
    for node in nodes:
        if node.ftp.port == bundle.FTP_PORT:
            node = replace(node, ftp=node.ftp._replace(port=bundle.FTP_PORT + taken[node.address.host]))
            taken[node.address.host] += 1
        if node.sftp is not None and node.sftp.port == bundle.SFTP_PORT:
            port = bundle.SFTP_PORT + SFTP_STEP * taken_sftp[node.address.host]
            node = replace(node, sftp=node.sftp._replace(port=port))
            taken_sftp[node.address.host] += 1
        given.append(node)
    return given
