"""Who may log in, from where and how often, and what each may see and do: shared by all front-ends of a node.

Invariant: no front-end decides about rights by itself. It logs a client in through `Access` and then reaches the
store only through the session's `Workspace`, which has the store judge every call by the account as it is there
(`raftstore.rights`); so FTP and SFTP cannot differ, and a right that is taken away is gone everywhere at once.

It is a package of its own because it knows nothing of any protocol. Modules: `access` is the outside; `account` is what
a session shows of its rights; `credentials` and `keys` verify passwords and public keys; `sessions` keeps count of who
is logged in and ends sessions; `workspace` is what a session sees of the store, `tree` and `storetree` the parts of
that, `mounts` what can be mounted in it, `cursor` a directory page by page, `backend` what all need of the store.
"""
