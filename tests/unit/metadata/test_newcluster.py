"""A catalog for a new cluster: what people have stays, what belonged to the old nodes goes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from catalogs import Feeder, chunk, command, digest, partial, put

from raftstore.consensus.membership.configuration import Configuration
from raftstore.metadata import Catalog
from raftstore.metadata.newcluster import Making, NewStore, make_catalog
from raftstore.metadata.tables.cluster.maintenance import Maintenance
from raftstore.metadata.tables.contents.holds import Holds
from raftstore.metadata.tables.events.webhooks import Webhooks
from raftstore.types import Wanted
from raftstore.wire import commands_pb2 as commands

NEW = ("m1", "n1")
OLD = ("n1", "n2", "n3")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of a catalog with something of everything."""
    with Feeder(tmp_path / "old" / "catalog.db") as feeder:
        feeder.catalog.configure(feeder.index + 1, Configuration.of(OLD).encode())
        feeder.index += 1
        assert feeder.status(_user("ada", replicas=1)) == "OK"
        ada = feeder.catalog.user("ada")
        assert ada is not None
        feeder.make("/d")
        for built in (
            put("/d/a.jpg", 1, 2, owner=ada.identity),
            put("/d/b.jpg", 2, 3, owner="bob"),
            partial("/d/c.jpg", 4),
            command("stage_content", node="n2", boot=1, content=0, offset=0, chunks=[chunk(5)], owner=""),
            command("reserve_name", path="/d/reserved.jpg", node="n2", boot=1),
            command("put_job", job=commands.Job(node="n1", kind=commands.Job.SCRUB)),
            command("put_intent", intent=commands.Intent(id=bytes(16), kind=commands.Intent.REMOVE, node="n3")),
            command("agree_on_secret", name="host key", value=b"secret"),
            command("agree_on_secret", name="session key", value=b"secret"),
            _webhook(),
            command("hold_chunks", id=bytes(16), lease_ns=10**12),
            command("set_maintenance", node="n1"),
        ):
            assert feeder.status(built) == "OK", built
        feeder.catalog.settle()
        target = tmp_path / "copy.db"
        feeder.catalog.write_snapshot(tmp_path / "snapshot")
        with Feeder(tmp_path / "between" / "catalog.db", level=None, stores=False) as between:
            between.catalog.install_snapshot(tmp_path / "snapshot")
        (tmp_path / "between" / "catalog.db").rename(target)
        return target


def _webhook() -> commands.Command:
    webhook = commands.Webhook(name="hook", url="https://example.net/x", secret=bytes(32), key=bytes(16))
    return command("add_webhook", webhook=webhook)


def _user(name: str, **fields: object) -> commands.Command:
    user = commands.User(name=name, password_hash="$argon2id$", home="/", rights="elr", **fields)  # type: ignore[arg-type]
    return command("put_user", user=user, create=True)


def made(copy: Path, **fields: object) -> Catalog:
    """Turn the copy into a catalog of the new cluster, and open it."""
    stores = [NewStore(number, node, bytes([number]) * 16) for number, node in enumerate(NEW, 1)]
    options: dict[str, object] = {
        "stores": stores,
        "configuration": Configuration.of(NEW).encode(),
        "wanted": Wanted(2, 2),
        "place": lambda digest, copies: (1, 2)[:copies],
        **fields,
    }
    with_index = make_catalog(copy, Making(**options))  # type: ignore[arg-type]
    catalog = Catalog(copy)
    assert catalog.applied_index == with_index
    return catalog


def test_what_people_have_stays(copy: Path) -> None:
    before = Catalog(copy)
    index, users = before.applied_index, before.users()
    before.close()
    catalog = made(copy)
    assert catalog.applied_index == index + 1
    assert catalog.users() == users
    assert [entry.name for entry in catalog.listing("/d")] == ["a.jpg", "b.jpg"]
    assert [ref.digest for ref in catalog.file("/d/a.jpg").chunks] == [digest(1), digest(2)]
    assert catalog.partial("ada", "/d/c.jpg") is not None
    assert catalog.opening is None
    catalog.close()


def test_nothing_of_the_old_nodes_stays(copy: Path) -> None:
    catalog = made(copy)
    assert catalog.configuration == (catalog.applied_index, Configuration.of(NEW).encode())
    assert [(store.number, store.node, store.current, store.swept) for store in catalog.stores()] == [
        (1, "m1", True, 0),
        (2, "n1", True, 0),
    ]
    assert [catalog.latest_boot(node) for node in OLD] == [0, 0, 0]
    assert not catalog.jobs() and not catalog.intents() and not catalog.reservations() and not catalog.staged()
    assert not catalog.ask(Holds, Holds.in_force)
    assert not catalog.ask(Webhooks, lambda webhooks: webhooks._execute("SELECT * FROM webhooks").fetchall())
    assert not catalog.ask(Maintenance, lambda maintenance: maintenance.nodes)
    assert catalog.secret("host key") is None
    # What was staged is given up bit by bit, as after the death of a node.
    assert catalog.leftovers == 1
    catalog.close()


def test_secrets_can_be_kept(copy: Path) -> None:
    catalog = made(copy, secrets=("host key",))
    assert catalog.secret("host key") == b"secret"
    assert catalog.secret("session key") is None
    catalog.close()


def test_copies_are_as_many_as_their_owners_want_and_the_counts_are_right(copy: Path) -> None:
    catalog = made(copy)
    stores = {seed: catalog.chunk_stores(digest(seed)) for seed in range(1, 6)}
    # Ada wants one copy; what is also Bob's has as many as the cluster makes.
    assert stores == {1: (1,), 2: (1, 2), 3: (1, 2), 4: (1, 2), 5: (1, 2)}
    counted = Counter(store for held in stores.values() for store in held)
    for store in (1, 2):
        assert catalog.store_totals(store)[1] == 10 * counted[store]
        assert sum(map(len, catalog.chunks_on(store))) == counted[store]
    assert catalog.short_count(Wanted(2, 2), (1, 2)) == 0
    assert catalog.totals() == (2, 40)
    catalog.close()


def test_a_lost_chunk_has_no_copy(copy: Path) -> None:
    catalog = made(copy, place=lambda name, copies: () if name == digest(3) else (1, 2)[:copies])
    assert catalog.chunk_stores(digest(3)) == ()
    count, files = catalog.short_files(Wanted(2, 2), (1, 2), 5)
    assert (count, files) == (1, ["/d/b.jpg"])
    catalog.close()


def test_it_goes_on_as_any_other_catalog(copy: Path, tmp_path: Path) -> None:
    made(copy).close()
    with Feeder(copy, level=None, stores=False) as feeder:
        # The first boot of a node of the same name as an old one, whose boots and operations are not known any more.
        assert feeder.status(put("/d/a.jpg", 1, 6)) == "INVALID"  # there is no store 3
        fresh = command(
            "put_file",
            path="/d/new.jpg",
            owner="ada",
            size=10,
            chunks=[chunk(7, stores=(1, 2))],
            since=feeder.index,
        )
        assert feeder.status(fresh) == "OK"
        assert feeder.status(command("remove_file", path="/d/b.jpg")) == "OK"
        assert feeder.catalog.chunk_stores(digest(3)) == ()
        assert feeder.status(command("begin_sweep", store=1)) == "OK"
        assert feeder.one(command("register_store", node="m1", identity=bytes([1]) * 16)).store == 1
        assert feeder.one(command("register_store", node="m2", identity=bytes([9]) * 16)).store == 3
        feeder.reopen()
        assert feeder.catalog.totals() == (2, 30)
