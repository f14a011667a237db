"""Tables of persons: who they are, groups and blocks, what they send to each other and what becomes of it.

`sending` decides about what is put to somebody and carries it out, over `records` (what was sent, to whom, and in which
state that is), `inboxes` (what came, and how much may come) and `drafts` (what is not delivered yet). `registering` has
the commands on accounts, `persons` their numbers, `purging` what becomes of what somebody has left. DESIGN.md of the
package above argues that each accepted delivery is in an inbox exactly once.
"""
