"""What an account may do and see where: pure functions, used before a command is proposed and when it is applied.

Invariant: the same functions decide at both places. A front-end's session is refused early, in clear words, by the
account as this node knows it; what counts is decided once more where the command stands in the log, by the account,
its rules and the names as they are there. A read takes account and name from one state of the catalog. DESIGN.md argues
it.

It is a package of its own because both the state machine and the front-ends need it, and neither may know the other.
Modules: `letters` has the letters and the words for them; `account` the rights of one account at paths of the store;
`actor` who asks; `changes` what each command needs; `looks` what each read needs.
"""

from raftstore.rights.account import Rights, Whose
from raftstore.rights.actor import Actor, why_ended
from raftstore.rights.letters import ROLES, Action, permits, word_of

__all__ = ["ROLES", "Action", "Actor", "Rights", "Whose", "permits", "why_ended", "word_of"]
