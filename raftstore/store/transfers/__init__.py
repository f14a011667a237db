"""Uploads and downloads of the store's users, from open to published."""
