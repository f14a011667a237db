"""Commands about accounts and what is theirs."""
