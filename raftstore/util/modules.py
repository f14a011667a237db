"""What is declared in the modules of a package, for registries that take every module of one folder."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable
from types import ModuleType
from typing import TypeVar

_T = TypeVar("_T")


def modules_of(package: ModuleType) -> list[str]:
    """Return the names of the modules in a package, without importing them."""
    return sorted(found.name for found in pkgutil.iter_modules(package.__path__) if not found.ispkg)


def declared_in(modules: Iterable[ModuleType], kind: type[_T]) -> list[_T]:
    """Return what of a type stands in modules under a name, each once; for a package, in all its modules.

    They are imported for that, in the order of their names.
    """
    found: dict[int, _T] = {}
    for module in modules:
        inside = [module]
        if hasattr(module, "__path__"):
            inside += [importlib.import_module(f"{module.__name__}.{name}") for name in modules_of(module)]
        for each in inside:
            found.update((id(value), value) for value in vars(each).values() if isinstance(value, kind))
    return list(found.values())
