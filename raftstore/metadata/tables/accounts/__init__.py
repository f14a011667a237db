"""Tables of accounts, what they own and may have."""
