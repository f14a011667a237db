"""Commands about nodes as an operator has them before him: their sessions, what they do, what ails them."""
