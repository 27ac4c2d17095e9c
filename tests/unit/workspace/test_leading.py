"""Of several processes of a store one leads, and another takes over when it is gone."""

from collections.abc import Callable
from pathlib import Path

import pytest

from charkh.core.config import Settings, StoreSettings
from charkh.workspace.leading import leadership_of
from charkh.workspace.workspace import Workspace

Open = Callable[[str], Workspace]


@pytest.fixture(params=["folder", pytest.param("postgres", marks=pytest.mark.needs("postgresql"))])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens the store as one more process does: on its own machine where it is in a database."""
    if request.param == "folder":
        return lambda _machine: Workspace(tmp_path, Settings(), create=True)
    url = request.getfixturevalue("postgres_url")
    return lambda machine: Workspace(
        tmp_path / machine, Settings(store=StoreSettings(path=str(tmp_path / machine), journal=url)), create=True
    )


def test_one_leads_at_a_time(opened: Open) -> None:
    with opened("one") as one, opened("two") as two:
        first, second, other = leadership_of(one, "loops"), leadership_of(two, "loops"), leadership_of(two, "other")
        assert first.leads()
        assert first.leads()
        assert not second.leads()
        assert other.leads()
        first.close()
        assert second.leads()
        assert not first.leads()
        second.close()
        other.close()
