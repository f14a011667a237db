"""The pages of docs/ that come from the program itself: configuration, exit codes, commands, the manual. Pure."""

from __future__ import annotations

import json

import click

from ftpgateway.cli.errors import exit_codes
from ftpgateway.cli.main import group
from ftpgateway.cli.manpages import FOLDER, manual
from ftpgateway.cli.metricspage import metrics_page
from ftpgateway.cli.output import PixraftCommand
from ftpgateway.ftp import compatibility
from ftpgateway.node.config.sections import NODE_SECTIONS, settings
from raftstore.util.settings.declare import Setting
from raftstore.util.settings.kinds import MEMBERS

_MADE = "<!-- Made by `make docs` from the program; a test fails when it is stale. -->"


def pages() -> dict[str, str]:
    """Return the pages' texts by file name."""
    return {
        "configuration.md": configuration_page(),
        "exit-codes.md": exit_codes_page(),
        "cli.md": commands_page(),
        "ftp-compatibility.md": compatibility.page(),
        "metrics.md": metrics_page(_MADE),
        **{f"{FOLDER}/{name}": text for name, text in manual().items()},
    }


def configuration_page() -> str:
    """Return the page that describes every key."""
    lines = [
        "# Configuration",
        "",
        _MADE,
        "",
        "Each node reads one TOML file, `pixraft serve --config FILE`; `pixraft init` writes it. It is checked",
        "as a whole before anything starts: an unknown key, a wrong value, a file that is cut off or a missing",
        "certificate is one message that names file, line, key and remedy, and exit code 3. What the file",
        "alone shows is told all at once; what is looked up elsewhere (certificates, ports, disks) when that is right.",
        "`pixraft config check` looks for mistakes without a start, `pixraft config show` prints what is in force.",
        "",
        "- Relative paths are relative to the file.",
        "- An environment variable `PIXRAFT_<SECTION>_<KEY>` goes before the file, for example",
        "  `PIXRAFT_FTP_LISTEN=0.0.0.0:21`.",
        "- A change counts from the node's next start. What is in `[cluster]` must be the same on every node.",
        "- An admin's bundle (`admin/admin.toml`) has `[cluster]`, and `[admin]` with `ca`, `certificate` and",
        "  `key`.",
    ]
    for section in NODE_SECTIONS:
        lines += ["", f"## [{section.name}]", "", section.doc, ""]
        for setting in settings([section]):
            lines += _key(setting)
    return "\n".join(lines).rstrip().replace("\n\n\n", "\n\n") + "\n"


def _key(setting: Setting) -> list[str]:
    """Return what the page has of one key."""
    default = "required" if setting.default is None else f"default `{json.dumps(setting.default)}`"
    lines = [f"### `{setting.key}`", "", setting.doc, ""]
    lines += [f"Takes {setting.kind.takes}; {default}. Environment: `{setting.environment}`.", ""]
    if setting.kind is MEMBERS:
        lines += ["```toml", "[[cluster.members]]", 'name = "n1"', 'address = "host1:7420"', "```", ""]
    return lines


def exit_codes_page() -> str:
    """Return the page that lists every exit code."""
    lines = [
        "# Exit codes",
        "",
        _MADE,
        "",
        "They are stable: a number keeps its meaning. A failure is one message on standard error; with",
        '`-o json` it is an object, `{"error": NAME, "message": TEXT, "exit_code": NUMBER}`; a wrong command line is',
        "a `UsageError`.",
        "",
        "| code | name | meaning |",
        "|---|---|---|",
    ]
    lines += [f"| {code} | {name} | {meaning} |" for code, name, meaning in exit_codes()]
    lines += [
        "",
        "`pixraft status` says the verdict by its exit code: 0 healthy, 8 degraded, 30 no quorum, 5 when no",
        "node answers. All other commands exit with 0 when they have done what was asked.",
    ]
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    """Return the page with every command's help and the shapes of JSON output."""
    lines = [
        "# Commands",
        "",
        _MADE,
        "",
        "`-o json` prints one JSON document on a line (`demo`: one a step); keys are only ever added.",
        "",
        "| command | JSON |",
        "|---|---|",
        *(f"| `{name}` | {shape} |" for name, shape in _SHAPES),
        "",
        "A node has "
        + ", ".join(f"`{key}`" for key in _NODE_KEYS)
        + ". What is not known is `null`; sizes are",
        "in bytes; `lag` counts log entries that the node has yet to apply. `loop` is what the stall watch has seen",
        "since the node's start (`null`: it is off, see `log.stalls`): of `probes` looks `stalls` found the node busy",
        "with one thing for `threshold` seconds or more; `longest` without the time for which the machine was busy",
        "otherwise, `longest_cpu` its processor time; `classes` counts the looks by processor time, up to 0.005, 0.02,",
        "0.05, 0.1, 0.2, 0.5, 1, 2, 5 seconds and more. `clients` has of `memory` (bytes), `handles`, `names` (of",
        "listings), `connections` and `ports` (passive ones that wait) what the clients hold: `used`, `limit` (0:",
        "none), and since the node's start `peak` and `refused`: how often more was too much for an account, an",
        "address or the node. `certificates`: when those of the node, its authority and its front-ends end, in seconds",
        "since the epoch (0: cannot be read).",
    ]
    for name, command, context in _commands(
        group, click.Context(group, info_name="pixraft", **group.context_settings)
    ):
        lines += ["", f"## {name}", "", "```text", command.get_help(context), "```"]
    return "\n".join(lines) + "\n"


_NODE_KEYS = [
    "name",
    "address",
    "role",
    "voter",
    "reachable",
    "term",
    "commit_index",
    "applied_index",
    "lag",
    "pictures",
    "bytes",
    "free_disk",
    "reclaimable",
    "quarantined",
    "error",
    "zone",
    "drain",
    "services",
    "loop",
    "clients",
    "certificates",
    "maintenance",
]

_SHAPES = [
    ("init", "`directory`, `made`, `admin`, `authority`, `nodes` (each `name`, `config`)"),
    (
        "serve",
        "the log: an object a line with `event`, `level`, `timestamp`; with `--check` `node`, `config`, `ok`, "
        "`running`",
    ),
    (
        "demo",
        "a step: `step`, `ok`, `seconds`, `note`; `--no-scenario`: `ready`, `directory`, `nodes`, `persons`",
    ),
    (
        "status",
        "`verdict`, `asked`, `leader`, `term`, `nodes`, `files`, `bytes`, `short` (names of pictures with fewer "
        "copies than wanted, at most 100), `short_count`, `lost_count` (those that no node that answers has "
        "whole), `partials` and `partial_bytes` (what interrupted uploads left), `error`",
    ),
    (
        "members",
        "`verdict`, `asked`, `leader`, `nodes` (each among others `services`: addresses of `ftp`, `ftps`, `sftp`)",
    ),
    (
        "user list",
        "`users`: each `name`, `home`, `rights`, `quota_bytes`, `used_bytes`, `quota_files`, `used_files`, `replicas` "
        "(0: as the cluster has it), `upload_rate`, `download_rate`, `max_sessions` (0: no limit, as the quotas), "
        "`disabled`, `role`, `rules` (each `path`, `rights`, `role`), `keys` (how many)",
    ),
    (
        "user show",
        "as one of `user list`, and `authorized_keys` (as of `user key list`), `inbox` (null, or as `inbox`), "
        "`trash_files` and `trash_bytes` (in its trash), `groups` (that it is in or owns)",
    ),
    (
        "inbox",
        "`user`, `bytes`, `files`, `max_bytes`, `max_files`, `max_sender_bytes`, `max_sender_files`, `blocks`",
    ),
    (
        "trash",
        "`user`, `trash`: each `name`, `path`, `bytes`, `removed`, `expires`; `kept` (seconds; 0: there is no trash); "
        "`--empty`: `user`, `removed` (how many)",
    ),
    ("user add, set, grant, revoke, passwd, remove", "`user`, `done`"),
    ("user key list", "`user`, `keys`: each `type`, `fingerprint`, `comment`, `key`"),
    ("user key add, remove", "`user`, and `added` or `removed` as `keys`"),
    (
        "upgrade status, finish",
        "`level` (in force), `before` (`finish`: before it), `target`, `finished`, `obstacles`, `nodes`: each `name`, "
        "`reachable`, `program`, `oldest` and `newest` (level that it knows), `level`, `error`",
    ),
    (
        "doctor",
        "`worst` (ok, warning, problem), `findings`: each `severity`, `check` (nodes, versions, clocks, ports, disks, "
        "certificates, limits, configuration), `where` (a node, cluster, this machine), `text`, `remedy`",
    ),
    (
        "top",
        "an object a look: `time`, `nodes` (each `node`, `role`, `sessions`, and a second `upload_rate`, "
        "`download_rate` (bytes), `uploads`, `downloads`, `commits`, `cpu` (of a core); null: not known; `error`), "
        "`operations` (what takes longest first: `node`, `session`, `protocol`, `user`, `what`, `path`, `moved`, "
        "`rate`, `seconds`)",
    ),
    (
        "log-level",
        "`nodes`: each `node`, `level`, `configured`, `seconds` (until that is in force again; 0: it is); "
        "`not_reached`",
    ),
    (
        "cert list",
        "`certificates`: each `node` (null: the admin), `certificate` (node, authority, ftp, ..., admin), `ends`, "
        "`days` (left; null: cannot be read)",
    ),
    ("cert renew", "`renewed`: each `node` (or admin), `ends`"),
    (
        "maintenance on, off, list",
        "`nodes`: each `node`, `since`, `grace` (seconds); on, off: `node`, `maintenance`, `changed`; on: `sessions` "
        "(left there; null: not asked), `leader`",
    ),
    (
        "sessions list",
        "`sessions`: each `node`, `session` (its number there), `protocol`, `user` (null: it logs in), `address`, "
        "`since`, `operations` (each `what`, `path`, `bytes`, `seconds`, `rate` in bytes a second since it began); "
        "`count`, `not_reached` (nodes)",
    ),
    ("sessions kill", "`killed` (as `sessions`), `not_reached`"),
    (
        "backup create, list",
        "`target`, and of the backup made, or of each of `backups`: `name`, `cluster`, `time`, `index` (of the log), "
        "`level`, `program`, `files`, `chunks`, `bytes` (of the chunks), `new_objects` and `new_bytes` (what it "
        "brought to the target), `lost` (chunks that no node had); list also `place`, `error` (null: it can be read)",
    ),
    (
        "backup verify",
        "`target`, `verified` (names), `sound`, `faults`: each `backup`, `object`, `what` (missing, cut, "
        "damaged), `of`",
    ),
    ("backup prune", "`target`, `dry_run`, `kept` and `removed` (names), `objects` and `bytes` (removed)"),
    (
        "backup restore",
        "`directory`, `backup`, `admin`, `authority`, `nodes` (each `name`, `config`), `index` (log entry at which the "
        "new cluster begins), `files`, `chunks`, `bytes`, `lost`",
    ),
    ("backup key", "`file`, `key` (names it, and tells nothing else of it)"),
    ("hostkeys list, rotate", "`keys`: each `kind`, `bits`, `fingerprint`, `key` (as in a .pub file)"),
    (
        "jobs list, repair, scrub",
        "`jobs`: each `id`, `kind`, `node`, `state`, `holder`, `reason`, `done`, `total`, `unit`, `counts`, "
        "`attempts`, `error`, `not_before`, `created`, `started`, `finished`; `short` (chunks with fewer copies "
        "than wanted); with `--no-wait` `begun` (numbers of jobs)",
    ),
    ("jobs show", "a job"),
    (
        "events",
        "an event a line: `number`, `index` (of the log), `time`, `event` (delivered, opened, kept, recalled, expired, "
        "bounced, restored, trash_ended, retained, uploaded, node_down, node_up), `actor`, `subject` (null: several, "
        "or nobody), `files`, `path`",
    ),
    (
        "audit",
        "a record a line: `number`, `index` (of the log), `time`, `caller`, `role` (admin, node), `address`, `node` "
        "(that was asked), `call`, `arguments`, `outcome` (done, refused, unknown), `code` and `detail` of the error, "
        "`omitted` (refusals before it that are not recorded), `id` (of the call)",
    ),
    (
        "webhook list",
        "`webhooks`: each `name`, `url`, `events` (null: all), `private`, `position`, `newest` (numbers of events), "
        "`accepted` (messages), `dead`, `failures`, `error`, `retry_in` (seconds; the last three null: not known); of "
        "one also `letters`: each `number`, `first`, `last`, `time`, `detail`, `asked`, `lost`",
    ),
    ("webhook add", "`name`, `secret`, `done`"),
    ("webhook remove, retry", "`name`, `done`"),
    ("webhook test", "`name`, `status` (null: not accepted), `error`, `took` (seconds)"),
    ("jobs cancel", "`id`, `done`"),
    (
        "partials list, remove",
        "`partials`: each `path`, `owner`, `bytes`, `changed` (when something was added last), `left` (seconds after "
        "which it goes at the earliest, null: never); `kept` (seconds, null: for ever), `bytes` of all; with remove "
        "`removed`, a list of the same",
    ),
    ("drain", "`jobs`; with `--cancel` `node`, `done`"),
    (
        "fsck",
        "`jobs`, `clean`, `applied`, and in chunks `verified`, `damaged`, `missing`, `extra`, `unlisted`, `young`; "
        "`lost` (pictures that no node that answers has whole), `not_checked` (nodes)",
    ),
    (
        "node list",
        "`index`, `members`: each `name`, `address`, `voter`, `leaving`; `open`: each `kind`, `node`, `replaces`, "
        "`address`, `used`, `expires`; `waiting` (reasons)",
    ),
    ("node add, replace", "`node`, `token`, `expires`, `replaces`"),
    ("node remove, move, cancel", "`node`, `done`"),
    ("ready", "`ready`, `reason`, `writable`, `not_writable`"),
    ("leader transfer", "`leader`, `changed` (false: it led already)"),
    ("join", "`node`, `cluster`, `config`"),
    ("completion", "`shell`, `script`"),
    ("unit", "`unit` (its text)"),
    (
        "config check",
        "`config`, `ok`, `problems` and `warnings`: each `key`, `line`, `variable`, `problem`, `remedy`",
    ),
    ("config show", "`config`, `settings`: each `key`, `value` (as in a file), `origin`, `environment`"),
]


def _commands(owner: click.Group, context: click.Context) -> list[tuple[str, click.Command, click.Context]]:
    found: list[tuple[str, click.Command, click.Context]] = []
    for name in owner.list_commands(context):
        command = owner.get_command(context, name)
        if command is None:
            continue
        inner = click.Context(
            command, info_name=name, parent=context, terminal_width=100, max_content_width=100
        )
        if isinstance(command, click.Group):
            found += _commands(command, inner)
        elif isinstance(command, PixraftCommand):
            found.append((inner.command_path, command, inner))
    return found
