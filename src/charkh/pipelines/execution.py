"""The noun: a step's execution, a pipeline's execution, and what their events say.

Pure data, no I/O. A `step.done/1` event holds the step's output; it is all that the cache is.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from charkh.core.canon import Json, canonical_json
from charkh.core.digests import digest_of
from charkh.core.files import TreeRef
from charkh.core.redact import is_secret_name, redact, redact_value
from charkh.pipelines.syntax import SERIALIZER

STEP_DONE_KIND = "step.done/1"
STEP_FAILED_KIND = "step.failed/1"
STEP_FORGOTTEN_KIND = "step.forgotten/1"
STARTED_KIND = "pipeline.started/1"
ENDED_KIND = "pipeline.ended/1"

KEY_FORM = 1
"""Version of how a key is made; a change of it is a change of every key."""

SHOWN_DIGEST = 16
MAX_TEXT = 200
MAX_ERROR = 500
MAX_METRICS = 200
MAX_STEPS = 1000

Outcome = Literal["reused", "executed", "failed"]
Status = Literal["running", "finished", "failed", "interrupted"]


class KeyParts(msgspec.Struct, frozen=True, kw_only=True):
    """What a step's key is made of, and what explains why two keys differ.

    Attributes:
        code: digests by function, class or global value.
        params: JSON values by argument; in an event, by dotted name.
        inputs: by name of the argument, the digest of its content.
        environment: Python, and the distributions that the code refers to, by version.
        declared: what `@step` declares: its version, digests of files and of variables.
    """

    code: dict[str, str]
    params: dict[str, Any]
    inputs: dict[str, str]
    environment: dict[str, str]
    declared: dict[str, str] = {}

    @property
    def key(self) -> str:
        """The digest under which the output is found."""
        parts = [self.code, self.params, self.inputs, self.environment, self.declared]
        return digest_of(canonical_json([KEY_FORM, SERIALIZER, *parts]))


class StepDone(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `step.done/1`.

    Attributes:
        step: id of this execution, which is the subject's id.
        name: `module:qualname` of the function.
        key: under which its output is found.
        parts: what the key was made of, with digests shortened and values bounded and without credentials.
        reads: digests by path of the files that it read; the output counts only while they are the same.
        output: the stored value.
        seconds: how long it took.
        metrics: what it logged, the last value of each; logged again where the output is reused.
        run: id of the run that it logged to.
        pipeline: name of the pipeline.
    """

    step: str
    name: str
    key: str
    parts: KeyParts
    output: TreeRef
    seconds: float
    reads: dict[str, str] = {}
    metrics: dict[str, float] = {}
    run: str = ""
    pipeline: str = ""


class StepFailed(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `step.failed/1`: nothing is kept of a failed step but that it failed.

    Attributes:
        name: `module:qualname` of the function.
        key: under which its output would have been found.
        error: type and text of the exception, bounded and without credentials.
        seconds: how long it took, retries included.
        run: id of the run that it logged to.
        pipeline: name of the pipeline.
    """

    name: str
    key: str
    error: str
    seconds: float
    run: str = ""
    pipeline: str = ""


class StepForgotten(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `step.forgotten/1`: the output need no longer be readable, and is not looked up any more."""

    step: str


class PipelineStarted(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `pipeline.started/1`; `run` is the id of the run that the execution is."""

    pipeline: str
    run: str


class StepReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one step call.

    Attributes:
        name: `module:qualname` of the function.
        outcome: its output was reused, it was executed, or it failed.
        reasons: why it was executed, or what was reused.
        seconds: how long the call took, lookup included.
        step: id of the execution that the output comes from; empty for steps that are not cached.
    """

    name: str
    outcome: str
    reasons: tuple[str, ...] = ()
    seconds: float = 0.0
    step: str = ""

    @property
    def short_name(self) -> str:
        """The function's name alone."""
        return self.name.rpartition(":")[2]


class PipelineEnded(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `pipeline.ended/1`.

    Attributes:
        pipeline: its name.
        run: id of the run that the execution is.
        status: how it ended.
        steps: the first `MAX_STEPS` step calls, in order.
        calls: how many there were.
        seconds: how long it took.
        error: type and text of the exception that ended it, bounded and without credentials.
    """

    pipeline: str
    run: str
    status: str
    steps: tuple[StepReport, ...]
    calls: int
    seconds: float
    error: str = ""


class StepRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A step's execution as the catalog answers it.

    Attributes:
        done: what its event says.
        actor: who executed it, `user@host`.
        at: seconds since the epoch when it was done.
        stamp: the total order of executions.
        forgotten: its output may be gone.
    """

    done: StepDone
    actor: str
    at: float
    stamp: str
    forgotten: bool = False

    @property
    def subject(self) -> str:
        """`step:id`, as it stands in edges."""
        return f"step:{self.done.step}"


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline's execution as the catalog answers it.

    Attributes:
        pipeline: its name.
        run: id of the run that it is.
        status: `running` until its end has been recorded; the run tells whether it is lost.
        started: seconds since the epoch.
        actor: who executed it.
        stamp: the total order of executions.
        ended: what its end says, or None.
    """

    pipeline: str
    run: str
    status: str
    started: float
    actor: str
    stamp: str
    ended: PipelineEnded | None = None


def shown_parts(parts: KeyParts) -> KeyParts:
    """Parts as an event may hold them: digests shortened, texts bounded, no credentials."""
    return KeyParts(
        code={name: _shown_digest(digest) for name, digest in parts.code.items()},
        params={name: _shown_value(value, name) for name, value in flat_params(parts.params).items()},
        inputs={name: _shown_digest(digest) for name, digest in parts.inputs.items()},
        environment=parts.environment,
        declared={name: _shown_digest(digest) for name, digest in parts.declared.items()},
    )


def bounded_error(error: BaseException) -> str:
    """An exception as an event may hold it."""
    return redact(f"{type(error).__name__}: {error}")[:MAX_ERROR]


def flat_params(values: Mapping[str, Json], prefix: str = "") -> dict[str, Any]:
    """Nested JSON values by dotted name; lists stay whole."""
    flat = dict[str, Any]()
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= flat_params(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _shown_digest(digest: str) -> str:
    return digest[:SHOWN_DIGEST]


def _shown_value(value: Any, name: str) -> Any:
    encoded = canonical_json(value)
    last = name.rpartition(".")[2]
    shown = redact_value(value, last)
    if shown != value or is_secret_name(last) or len(encoded) > MAX_TEXT:
        # What is not shown still tells two values apart.
        return f"[{digest_of(encoded)[:SHOWN_DIGEST]}]"
    return value
