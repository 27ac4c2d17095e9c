"""What is wrong in the settings is told with where it stands."""

from typing import Any

import pytest

from charkh.core.config import parse_settings
from charkh.core.errors import Invalid


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ({"gate": {"good": {"require": ["auc >"]}}}, "charkh.toml: [gate.good]: "),
        ({"monitor": {"late": {"estimate": True}}}, "charkh.toml: [monitor.late]: an estimate needs a target"),
        ({"monitor": {"late": {"every": "often"}}}, "charkh.toml: [monitor.late]: "),
        ({"loop": {"again": {"run": "p.py:retrain", "on": "drifting"}}}, "charkh.toml: [loop.again]: "),
        ({"cache": {"files": "much"}}, "charkh.toml: [cache]: "),
        ({"gc": {"grace": "long"}}, "charkh.toml: [gc]: "),
        ({"run": {"system": "often"}}, "charkh.toml: [run]: "),
        ({"tensorboard": {"every": "often"}}, "charkh.toml: [tensorboard]: "),
    ],
)
def test_a_value_that_no_type_refuses_is_told_with_its_table(document: dict[str, Any], where: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_settings(document, "charkh.toml")
    assert caught.value.message.startswith(where)
    assert caught.value.hint
