"""Chunks between clients and stores: uploads, downloads, copies on a write quorum."""
