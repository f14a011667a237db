"""Data connections (RFC 959, 3.2) and what moves over them."""
