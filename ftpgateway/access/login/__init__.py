"""Who may log in: credentials, keys, guesses slowed down."""
