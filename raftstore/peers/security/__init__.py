"""Certificates, TLS, and the cipher of bulk frames."""
