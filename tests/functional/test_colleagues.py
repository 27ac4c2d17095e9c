"""The guide for colleagues, played: every command in it, on workspaces of their own, prints what the guide says."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.functional.conftest import Charkh

GUIDE = Path(__file__).parent.parent.parent / "docs" / "guides" / "colleagues.md"
FILES = {
    "jan.csv": "flight,delay\n1,12\n2,0\n",
    "feb.csv": "flight,delay\n3,7\n",
    "feb-late.csv": "flight,delay\n4,70\n",
}
ACTORS = {"ann": "ann@laptop", "bob": "bob@desk", "cy": "cy@home"}


def commands() -> Iterator[tuple[str, list[str], list[str]]]:
    """Who types what, and what is printed."""
    typed: tuple[str, list[str], list[str]] | None = None
    for block in re.findall(r"```console\n(.*?)```", GUIDE.read_text(), re.DOTALL):
        for line in block.splitlines():
            if match := re.fullmatch(r"(\w+)\$ charkh (.*)", line):
                if typed is not None:
                    yield typed
                typed = (match[1], match[2].split(), [])
            elif typed is not None:
                typed[2].append(line)
    if typed is not None:
        yield typed


def alike(line: str) -> str:
    """A line without what differs from one time to another."""
    return re.sub(r"dataset:[0-9a-f]{32}", "dataset:ID", re.sub(r"[0-9.,]+ (?:B|KiB)", "SIZE", line))


def test_the_guide_says_what_happens(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    people: dict[str, Charkh] = {}
    for name in ACTORS:
        (tmp_path / name).mkdir()
        people[name] = Charkh(tmp_path / name)
        people[name]("init")
        for file, content in FILES.items():
            people[name].write(file, content)
    (tmp_path / "share").mkdir()
    played = list(commands())
    assert len(played) > 15
    for who, words, expected in played:
        arguments = [word.replace("/srv", str(tmp_path)) for word in words]
        printed = people[who](*arguments, CHARKH_ACTOR=ACTORS[who]).replace(str(tmp_path), "/srv")
        assert [alike(line) for line in printed.splitlines()] == [alike(line) for line in expected], (who, words)
