"""Tables of what happened: events, webhooks that send them on, the audit log."""
