"""What several commands, or one large command, are made of. No module here is a command."""
