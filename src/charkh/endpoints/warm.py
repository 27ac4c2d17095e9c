"""Ask a model its example before anybody else asks it: what it does at first takes longest, or fails. No I/O."""

from time import perf_counter

from charkh.core.errors import CharkhError, Unavailable
from charkh.endpoints.reader import reader_of
from charkh.endpoints.servable import Expected, Servable
from charkh.ports.runtimes import row_count

BESIDE = 0.0001
"""Seconds that reading, logging and answering a short request take at most, beside the model."""


def warm_up(servable: Servable, example: bytes) -> Expected:
    """Ask every row of an example together, and the first row alone; how long a request of one row will take.

    Nothing is logged.

    Args:
        servable: that is to be offered.
        example: body of a request, as it is kept with a model version (`charkh.models.example`).

    Raises:
        Unavailable: the model does not answer its own example.
    """
    try:
        _, inputs = reader_of(servable.signature).read(example, "")
        began = 0.0
        for asked in (inputs, {name: tensor[:1] for name, tensor in inputs.items()}):
            began = perf_counter()
            rows = row_count(servable.predict(asked))
            if rows != row_count(asked):
                raise _cold(servable, f"it gave {rows} rows for {row_count(asked)}")
        return Expected(perf_counter() - began + BESIDE, len(example) / row_count(inputs))
    except CharkhError as error:
        raise _cold(servable, error.message) from error
    except Exception as error:  # a model's own code may raise anything
        raise _cold(servable, f"{type(error).__name__}: {error}"[:400]) from error


def _cold(servable: Servable, why: str) -> Unavailable:
    return Unavailable(
        f"version {servable.version} at {servable.name!r} does not answer its example: {why}",
        code="endpoint.warm_up",
        hint="It was never offered. Its example is what it was registered with; behind recipes and in graphs, rows of "
        "the dataset that `example` names, with times written as 2026-01-31T09:00:00Z.",
    )
