"""Texts of the settings that stand in an environment variable: `env:NAME`."""

from collections.abc import Mapping

from charkh.core.errors import NotFound
from charkh.core.source_settings import VARIABLE


def value_of(text: str, variables: Mapping[str, str], where: str) -> str:
    """The text, or the value of the variable that it names.

    Args:
        text: as the settings say it.
        variables: of the environment.
        where: the key of the settings, for the error.

    Raises:
        NotFound: the variable is not set.
    """
    if not text.startswith(VARIABLE):
        return text
    name = text.removeprefix(VARIABLE)
    if name not in variables:
        raise NotFound(
            f"{where} is the variable {name}, which is not set",
            code="source.no_variable",
            hint=f"Set it before fetching: export {name}=…",
        )
    return variables[name]


def values_of(texts: Mapping[str, str], variables: Mapping[str, str], where: str) -> dict[str, str]:
    """Each text as `value_of` gives it."""
    return {name: value_of(text, variables, f"{where}.{name}") for name, text in texts.items()}
