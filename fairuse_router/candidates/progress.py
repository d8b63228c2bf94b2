"""How far a fit is: told to scikit-learn's callbacks, and to whoever reads standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

__all__ = ["CallbackSupportMixin", "Task", "counted", "fitting"]

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn before 1.9: `verbose` alone tells

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing to set: this scikit-learn has no callbacks."""

    def with_callbacks(method: Callable[..., Any]) -> Callable[..., Any]:
        """Return the method as it is."""
        return method


T = TypeVar("T")


@dataclass(frozen=True)
class Task:
    """A part of a fit, as callbacks see it; where there are none, nothing happens.

    What callbacks return is not heeded: a fit that stops half way has nothing to choose from.

    Parameters
    ----------
    estimator : estimator, default=None
        Who is fitted.
    context : sklearn.callback.CallbackContext or None, default=None
    """

    estimator: Any = None
    context: Any = None

    def part(self, name: str, parts: int = 0) -> Task:
        """Begin the next part, which has so many of its own."""
        if self.context is None:
            return self
        context = self.context.subcontext(task_name=name, max_subtasks=parts)
        context.call_on_fit_task_begin(estimator=self.estimator)
        return Task(self.estimator, context)

    def end(self, **data: Any) -> None:
        """End it, with what callbacks may ask for."""
        if self.context is not None:
            self.context.call_on_fit_task_end(estimator=self.estimator, **data)


@contextmanager
def fitting(
    estimator: Any, parts: int, X: Any, y: Any, sample_weight: Any
) -> Generator[Task, None, None]:
    """Tell an estimator's callbacks of a fit of so many parts, however it ends.

    `with_callbacks` is not put around `fit`, where its frame would stand between the user's line
    and the warnings that point at it.
    """
    try:
        if hasattr(estimator, "_init_callback_context"):
            weights = None if sample_weight is None else {"sample_weight": sample_weight}
            data = {"X": X, "y": y, "metadata": weights}
            task = Task(estimator, estimator._init_callback_context(max_subtasks=parts))
            task.context.call_on_fit_task_begin(estimator=estimator, **data)
            yield task
            task.end(**data, reconstruction_attributes={})
        else:
            yield Task()
    finally:
        with_callbacks(lambda _: None)(estimator)  # tears them down


def counted(work: Iterable[T], names: list[str], task: Task, verbose: int) -> Iterator[T]:
    """Yield what each part of some work brought, and tell how far it is."""
    start, whole, results = time.perf_counter(), task.part("train", len(names)), iter(work)
    for done, name in enumerate(names, 1):
        part = whole.part(name)
        brought = next(results)
        part.end()
        if verbose:
            _print_progress(done, len(names), time.perf_counter() - start)
        yield brought
    whole.end()


def _print_progress(done: int, tasks: int, seconds: float) -> None:
    """One line that rewrites itself in a terminal; elsewhere only its last state."""
    last, stream = done == tasks, sys.stderr
    if stream is None or not (last or stream.isatty()):
        return
    text = f"\rfitted {done} of {tasks} candidates and folds, {seconds:.1f} s"
    with suppress(OSError, ValueError):  # that nobody reads it must not stop the work
        print(text if stream.isatty() else text[1:], end="\n" if last else "", file=stream)
