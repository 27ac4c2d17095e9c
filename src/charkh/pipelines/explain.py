"""Why a step was executed: what differs from the nearest execution before."""

from collections.abc import Mapping, Sequence
from typing import Any

from charkh.pipelines.execution import KeyParts, StepRecord

NEVER = "it was never executed before"
FORGOTTEN = "its stored output was forgotten"
FORCED = "it was asked to be executed again"


def explain(parts: KeyParts, former: Sequence[StepRecord]) -> tuple[str, ...]:
    """What differs between these parts and the nearest of former executions.

    Args:
        parts: as an event shows them (`shown_parts`).
        former: executions of the same function, newest first.
    """
    if not former:
        return (NEVER,)
    differences = [differing(each.done.parts, parts) for each in former]
    nearest = min(differences, key=len)
    return nearest or (FORGOTTEN,)


def differing(old: KeyParts, new: KeyParts) -> tuple[str, ...]:
    """What differs, one line each."""
    return (
        *_changed("code of", old.code, new.code),
        *_valued("param", old.params, new.params),
        *_changed("input", old.inputs, new.inputs),
        *_valued("", old.environment, new.environment),
        *_declared(old.declared, new.declared),
    )


def _changed(what: str, old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    lines = [f"{what} {_short(name)} changed" for name in new if name in old and old[name] != new[name]]
    lines += [f"{what} {_short(name)} is new" for name in new if name not in old]
    return lines + [f"{what} {_short(name)} is gone" for name in old if name not in new]


def _valued(what: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    absent = object()
    lines: list[str] = []
    for name in dict.fromkeys((*new, *old)):
        before, after = old.get(name, absent), new.get(name, absent)
        if type(before) is type(after) and before == after:
            continue
        label = f"{what} {name}".strip()
        if before is absent:
            lines.append(f"{label} is new: {after}")
        elif after is absent:
            lines.append(f"{label} is gone: {before}")
        else:
            lines.append(f"{label} {before} -> {after}")
    return lines


def _declared(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    names = dict.fromkeys((*new, *old))
    lines: list[str] = []
    for name in names:
        if old.get(name) == new.get(name):
            continue
        if name == "version":
            lines.append(f"version {old.get(name, 'none')} -> {new.get(name, 'none')}")
        else:
            lines.append(f"{name} changed")
    return lines


def _short(name: str) -> str:
    """`clean` for `flights:clean`: the module says little where the name is enough."""
    return name.rpartition(":")[2]
