"""The catalog's file: SQLite, its connections, transactions, syncs and snapshots."""
