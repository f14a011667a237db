"""The fixture `world`, of each store in turn; a test that is a coroutine function runs on its loop."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest
from contract import Fake, Kept, LoopThread, Real, World, real_store


@pytest.fixture(scope="session")
def loop() -> Iterator[LoopThread]:
    thread = LoopThread()
    yield thread
    thread.close()


@pytest.fixture(scope="session")
def real(loop: LoopThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    with real_store(tmp_path_factory.mktemp("store"), loop) as store:
        yield store


@pytest.fixture(params=["fake", "real"])
def world(request: pytest.FixtureRequest, loop: LoopThread) -> World:
    kept: Kept = Fake() if request.param == "fake" else request.getfixturevalue("real")
    made = World(kept, loop)
    loop.run(made.begin())
    return made


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = pyfuncitem._fixtureinfo.argnames
    world: World = pyfuncitem.funcargs["world"]
    world.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in wanted}))
    return True
