"""SSH (RFC 4251 to 4254) in worker processes, by paramiko."""
