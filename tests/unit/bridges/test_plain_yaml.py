"""Plain YAML, read back by another parser."""

import yaml
from hypothesis import given
from hypothesis import strategies as st

from charkh.bridges.plain_yaml import yaml_text

TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x7f"), max_size=12).filter(
    lambda text: all(character.isprintable() or character in "\n\t" for character in text)
)
LEAVES = TEXTS | st.integers() | st.booleans() | st.none()
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3))


@given(VALUES)
def test_what_is_written_is_read_back(value: object) -> None:
    assert yaml.safe_load(yaml_text(value)) == value
