"""The front-ends that a node has, in the order of their sections."""

from __future__ import annotations

from ftpgateway.ftp.kind import FtpKind
from ftpgateway.metrics.kind import MetricsKind
from ftpgateway.serving.frontends import AnyKind
from ftpgateway.sftp.kind import SftpKind
from ftpgateway.web.kind import WebKind

FRONTENDS: tuple[AnyKind, ...] = (FtpKind(), SftpKind(), MetricsKind(), WebKind())
