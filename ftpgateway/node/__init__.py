"""A node as a process: configuration, assembling, checks before the start, systemd."""
