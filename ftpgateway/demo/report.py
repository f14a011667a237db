"""How the demo tells what it does: live on a terminal, a line a step otherwise, or JSON lines."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TransferSpeedColumn


class Step:
    """A step under way: what came of it goes into `note`; `progress` shows bytes done out of `total`."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.note = ""

    def progress(self, total: int) -> Callable[[int], None]:
        """Return what to call with the number of bytes done since the last call."""
        return lambda _count: None


class Reporter(Protocol):
    """Where steps are told."""

    def step(self, title: str) -> contextlib.AbstractContextManager[Step]:
        """Open a step; it has failed when its block raises."""
        ...

    def say(self, text: str) -> None:
        """Tell something between the steps."""
        ...


class PlainReporter:
    """A line for each step, when it is over."""

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Open a step."""
        step, begin = Step(title), time.monotonic()
        try:
            yield step
        except BaseException:
            self._line("FAILED", step, begin)
            raise
        self._line("ok", step, begin)

    def _line(self, outcome: str, step: Step, begin: float) -> None:
        note = f": {step.note}" if step.note else ""
        print(f"{outcome:6} {time.monotonic() - begin:6.1f} s  {step.title}{note}", flush=True)

    def say(self, text: str) -> None:
        """Print it."""
        print(text, flush=True)


class JsonReporter:
    """A JSON object on a line for each step."""

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Open a step."""
        step, begin = Step(title), time.monotonic()
        try:
            yield step
        except BaseException:
            self._line(False, step, begin)
            raise
        self._line(True, step, begin)

    def _line(self, ok: bool, step: Step, begin: float) -> None:
        shape = {"step": step.title, "ok": ok, "seconds": round(time.monotonic() - begin, 3), "note": step.note}
        print(json.dumps(shape, ensure_ascii=False), flush=True)

    def say(self, text: str) -> None:
        """Nothing: text is for people."""


class _LiveStep(Step):
    """A step with a bar as soon as it has bytes to show."""

    def __init__(self, title: str, live: Progress) -> None:
        super().__init__(title)
        self._live = live

    def progress(self, total: int) -> Callable[[int], None]:
        for task in self._live.task_ids:
            self._live.remove_task(task)
        self._live.columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
        )
        task = self._live.add_task(self.title, total=total)
        return lambda count: self._live.advance(task, count)


class LiveReporter:
    """A spinner or bar while a step is under way, a line when it is over."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Open a step."""
        begin = time.monotonic()
        live = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), console=self._console, transient=True
        )
        step = _LiveStep(title, live)
        try:
            with live:
                live.add_task(title, total=None)
                yield step
        except BaseException:
            self._line("[bold red]✗[/]", step, begin)
            raise
        self._line("[bold green]✓[/]", step, begin)

    def _line(self, mark: str, step: Step, begin: float) -> None:
        self._console.print(f"{mark} {step.title} [dim]({time.monotonic() - begin:.1f} s)[/]", highlight=False)
        if step.note:
            self._console.print(f"  [cyan]{step.note}[/]", highlight=False)

    def say(self, text: str) -> None:
        """Print it."""
        self._console.print(text, highlight=False, markup=False)


def reporter(form: str) -> Reporter:
    """Return the reporter for standard output as it is."""
    if form == "json":
        return JsonReporter()
    console = Console(file=sys.stdout)
    return LiveReporter(console) if console.is_terminal else PlainReporter()
