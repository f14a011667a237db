"""The FTP and FTPS front-end: pyftpdlib's control connections nested in asyncio, over the async store.

Invariant: `226`, `250` and `257` are sent only after the store said that the change is durable and visible; an
upload that did not end with a clean end of data is never published; nothing here touches the host's file
system.

It is a package of its own because it is the only part that knows FTP and pyftpdlib: the store is seen through
the Protocol in `access.backend`, pyftpdlib's private attributes are touched in `pyftp` alone. Commands are
synchronous functions (`commands`) that take a narrow view of their session (`interface`) and run in greenlets
(`waiting`), so that they can wait for the store without holding up other sessions; which command may run while
another or a transfer is under way is decided in `gate`, by what it declares.
"""
