"""What holds the house: imports go downwards only, there is no circle, and words that were retired stay away.

    python tests/house/housecheck.py        from the project's directory; prints each fault, and fails with one

Pure functions over the text of modules; only `main` reads files. Imports inside of functions count, and so do those for
type checkers alone: whoever reads a module must know what it names.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

LAYERS: tuple[tuple[str, ...], ...] = (
    ("raftstore.types", "raftstore.errors", "raftstore.paths"),
    ("raftstore.util", "raftstore.wire"),
    ("raftstore.rights",),
    ("raftstore.peers",),
    ("raftstore.consensus", "raftstore.metadata", "raftstore.chunks"),
    ("raftstore.cluster",),
    ("raftstore.store",),
    ("ftpgateway.access",),
    ("ftpgateway.serving",),
    ("ftpgateway.ftp", "ftpgateway.sftp", "ftpgateway.metrics", "ftpgateway.web"),
    ("ftpgateway.node",),
    ("ftpgateway.backup",),
    ("ftpgateway.cli",),
    ("ftpgateway.demo",),
)
"""From bottom to top. Those of one layer do not know each other, but for the first, which are single modules."""

UPWARDS: dict[tuple[str, str], str] = {}
"""Imports upwards or sideways that are let through, with the reason: (module, module that it imports)."""

CIRCLES: dict[tuple[str, ...], str] = {}
"""Circles that are let through, with the reason: what the names of all their modules begin with."""

RETIRED = frozenset(
    (
        *("room", "keeper", "door", "evidence", "gathering", "post"),
        *("parcel", "workroom", "told", "furnish", "currency"),
    )
)
"""Words that had several meanings, or one that nobody guessed. None is part of an identifier any more."""

ALLOWED = {
    "__post_init__": "the name that dataclasses look for",
    "do_POST": "the name that http.server looks for",
    "keepers": "a field of the command Drop, whose name stands in the descriptors of releases",
}
"""Identifiers with a retired word, each with its reason. Names of tests are sentences and are not looked at."""

WORDS_IN = ("raftstore", "ftpgateway", "tests")
GENERATED = re.compile(r"_pb2\.pyi?$")


class Import(NamedTuple):
    """One import: `name` is a module, or something in one."""

    line: int
    name: str


def imports(source: str, module: str, *, package: bool = False) -> Iterator[Import]:
    """Yield what a module imports, wherever in it, as absolute names."""
    base = module.split(".") if package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (Import(node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = base[: len(base) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            yield from (Import(node.lineno, f"{origin}.{alias.name}") for alias in node.names)


def graph(sources: Mapping[str, str], packages: Iterable[str]) -> dict[str, dict[str, int]]:
    """Return for each module the modules of the project that it imports, with the line.

    `from a import b` is an import of `a.b` where that is a module, else of `a`.
    """
    inits = frozenset(packages)
    edges: dict[str, dict[str, int]] = {}
    for module, source in sources.items():
        found = edges.setdefault(module, {})
        for line, name in imports(source, module, package=module in inits):
            target = name if name in sources else name.rpartition(".")[0]
            if target in sources and target != module:
                found.setdefault(target, line)
    return edges


def place(module: str) -> tuple[int, str] | None:
    """Return layer and package of a module; None for those above all packages (`raftstore` itself)."""
    for layer, names in enumerate(LAYERS):
        for name in names:
            if module == name or module.startswith(f"{name}."):
                return layer, name
    return None


def upwards(edges: Mapping[str, Mapping[str, int]], let_through: Collection[tuple[str, str]] = ()) -> list[str]:
    """Return a line for each import that does not go downwards."""
    faults = []
    for module, targets in sorted(edges.items()):
        for target, line in sorted(targets.items()):
            here, there = place(module), place(target)
            if here is None or there is None or (module, target) in let_through:
                continue
            if there[0] > here[0]:
                faults.append(f"{module}, line {line}: imports {target}, which is above it")
            elif there[0] == here[0] > 0 and there[1] != here[1]:
                faults.append(f"{module}, line {line}: imports {target}, which is beside it")
    return faults


def homeless(modules: Iterable[str]) -> list[str]:
    """Return a line for each module that no layer names."""
    return [
        f"{module}: is in no layer (tests/house/housecheck.py)"
        for module in sorted(modules)
        if "." in module and place(module) is None
    ]


def circles(edges: Mapping[str, Mapping[str, int]]) -> list[frozenset[str]]:
    """Return the sets of modules that import each other (strongly connected components, by Tarjan)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []
    found: list[frozenset[str]] = []

    def visit(module: str) -> None:
        number[module] = lowest[module] = len(number)
        path.append(module)
        for target in edges.get(module, {}):
            if target not in number:
                visit(target)
                lowest[module] = min(lowest[module], lowest[target])
            elif target in path:
                lowest[module] = min(lowest[module], number[target])
        if lowest[module] == number[module]:
            at = path.index(module)
            component = frozenset(path[at:])
            del path[at:]
            if len(component) > 1:
                found.append(component)

    for module in sorted(edges):
        if module not in number:
            visit(module)
    return found


def not_needed(edges: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return a line for each exemption that nothing needs any more: it would let something new through."""
    faults = [
        f"the exemption for {target} in {module} is not needed any more"
        for module, target in UPWARDS
        if target not in edges.get(module, {})
    ]
    found = circles(edges)
    faults += [
        f"the exemption for the circle of {', '.join(exempt)} is not needed any more"
        for exempt in CIRCLES
        if not any(is_exempt(circle, [exempt]) for circle in found)
    ]
    return faults


def is_exempt(circle: Iterable[str], exemptions: Iterable[tuple[str, ...]]) -> bool:
    """Whether one exemption covers all modules of a circle."""
    return any(all(module.startswith(exempt) for module in circle) for exempt in exemptions)


def words(name: str) -> list[str]:
    """Return the words of an identifier in lower case: `SendRoom`, `send_room` and `ROOM` all have `room`."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def retired(name: str) -> str | None:
    """Return the retired word in an identifier, if there is one; its plural counts."""
    for word in words(name):
        for form in (word, word.removesuffix("s")):
            if form in RETIRED:
                return form
    return None


def identifiers(source: str) -> Iterator[tuple[int, str]]:
    """Yield the identifiers of a module with their lines, those in expressions of f-strings, too."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME:
            yield token.start[0], token.string
    # In Python 3.11 an f-string is one token.
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            for part in ast.walk(node):
                if isinstance(part, ast.Name):
                    yield node.lineno, part.id
                elif isinstance(part, ast.Attribute):
                    yield node.lineno, part.attr


def retired_in(source: str, shown: str) -> list[str]:
    """Return a line for each identifier of a module that has a retired word."""
    if not any(word in source.lower() for word in RETIRED):
        return []  # most modules: to take them apart costs seconds
    found = {
        (line, name)
        for line, name in identifiers(source)
        if retired(name) and name not in ALLOWED and not name.startswith("test_")
    }
    return [f"{shown}:{line}: {name}: the word {retired(name)!r} is retired" for line, name in sorted(found)]


def files(root: Path, top: str) -> Iterator[Path]:
    """Yield the modules below a directory that people write."""
    for file in sorted((root / top).rglob("*.py")):
        if not GENERATED.search(file.name) and "__pycache__" not in file.parts:
            yield file


def check(root: Path) -> list[str]:
    """Return a line for each fault of the project in `root`."""
    sources: dict[str, str] = {}
    packages: set[str] = set()
    for top in ("raftstore", "ftpgateway"):
        for file in files(root, top):
            module = ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
            sources[module] = file.read_text(encoding="utf-8")
            if file.name == "__init__.py":
                packages.add(module)
    edges = graph(sources, packages)
    faults = homeless(sources) + upwards(edges, UPWARDS) + not_needed(edges)
    faults += [
        f"circle of imports: {', '.join(sorted(circle))}"
        for circle in circles(edges)
        if not is_exempt(circle, CIRCLES)
    ]
    for top in WORDS_IN:
        for file in files(root, top):
            shown = str(file.relative_to(root))
            if retired(file.stem):
                faults.append(f"{shown}: the word {retired(file.stem)!r} is retired")
            faults += retired_in(file.read_text(encoding="utf-8"), shown)
    return faults


def main() -> int:
    """Print the faults; return the exit code."""
    faults = check(Path(__file__).resolve().parents[2])
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
