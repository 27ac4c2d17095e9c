"""Scripts that were written for trackio, recorded here: `import charkh.bridges.trackio as trackio`.

trackio took its calls from Weights & Biases; here both are the same code.
"""

from collections.abc import Mapping
from typing import Any

from charkh.bridges.wandb import session
from charkh.bridges.wandb.run_record import Run
from charkh.bridges.wandb.values import Audio, Histogram, Html, Image, Table, Video

__all__ = ["Audio", "Histogram", "Html", "Image", "Run", "Table", "Video", "alert", "finish", "init", "log", "save"]


def init(
    project: str,
    name: str | None = None,
    group: str | None = None,
    config: Mapping[str, Any] | None = None,
    resume: str = "never",
    **_more: Any,
) -> Run:
    """Start a run of a project.

    Args:
        project: its name.
        name: of the run.
        group: what belongs together.
        config: params.
        resume: `must` or `allow`: the run of this name in the project goes on.

    Raises:
        NotFound: `resume="must"`, and there is no such run.
    """
    going_on = resume in {"must", "allow"} and bool(name)
    return session.init(
        project=project,
        name=name,
        group=group,
        config=config,
        id=f"{project}/{name}" if going_on else None,
        resume=resume if going_on else None,
        reinit=True,
    )


def log(metrics: Mapping[str, Any], step: int | None = None) -> None:
    """Log numbers, and what can be shown, of one step."""
    session.log(metrics, step=step)


def finish() -> None:
    """End the run."""
    session.finish()


def save(glob_str: str, *given: Any) -> list[str]:
    """Keep files that match now; their names."""
    return session.save(glob_str, *given)


def alert(title: str, text: str = "", level: Any = None, **_more: Any) -> None:
    """Say something that a person should see."""
    session.alert(title, text, level=level)


def __getattr__(name: str) -> Any:
    if name in {"run", "config"}:
        return session.lookup(name)
    told = "docs/bridges/trackio.md says what is, and what to use instead; `charkh up` shows runs"
    raise AttributeError(f"trackio.{name} is not carried by charkh.bridges.trackio: {told}")
