"""Which run a process writes, and as whom."""

import os

import pytest

from charkh.core.errors import Invalid
from charkh.core.ids import ID_PATTERN, new_id
from charkh.runs.membership import (
    Membership,
    announced,
    child_writer,
    find_membership,
    joined_folder,
    shared_id,
    writer_order,
)

TORCH = {"RANK": "0", "WORLD_SIZE": "4", "MASTER_PORT": "29500", "MASTER_ADDR": "a", "TORCHELASTIC_RUN_ID": "none"}


def test_without_a_word_a_new_run_begins() -> None:
    first, second = find_membership({}), find_membership({"RANK": "3"})
    assert first.starter
    assert second.writer == "0"
    assert first.run != second.run


def test_a_named_run_is_shared_and_rank_0_begins_it() -> None:
    name = new_id()
    zero = find_membership({"CHARKH_RUN_ID": name, "RANK": "0"})
    three = find_membership({"CHARKH_RUN_ID": f"run:{name}", "RANK": "3"})
    assert zero == Membership(run=name, writer="0", starter=True, launched=True)
    assert three == Membership(run=name, writer="3", starter=False, launched=True)


def test_any_word_names_a_run_and_the_next_run_of_a_process_is_another() -> None:
    assert ID_PATTERN.fullmatch(shared_id("job-17"))
    assert shared_id("job-17") == shared_id(" job-17 ")
    assert shared_id("job-17") != shared_id("job-18")
    first, second = (find_membership({"CHARKH_RUN_ID": "job-17"}, number) for number in (0, 1))
    assert first.run != second.run
    assert second == find_membership({"CHARKH_RUN_ID": "job-17"}, 1)


def test_the_process_that_a_run_started_joins_it() -> None:
    member = find_membership({"CHARKH_RUN_ID": "x", "CHARKH_RUN_STARTER": "1", "RANK": "2"}, 5)
    assert member == Membership(run=shared_id("x"), writer=f"2.{os.getpid()}", starter=False)
    mine = find_membership({"CHARKH_RUN_ID": "x", "CHARKH_RUN_STARTER": str(os.getpid())})
    assert mine.starter
    assert mine.run != shared_id("x")


def test_ranks_of_one_launch_find_one_run() -> None:
    members = [find_membership({**TORCH, "RANK": str(rank)}) for rank in range(4)]
    assert len({member.run for member in members}) == 1
    assert [member.starter for member in members] == [True, False, False, False]
    assert find_membership(TORCH, 1).run != members[0].run
    assert find_membership({**TORCH, "MASTER_PORT": "29501"}).run != members[0].run


def test_several_machines_need_a_name_for_their_launch() -> None:
    many = {**TORCH, "GROUP_WORLD_SIZE": "2"}
    with pytest.raises(Invalid, match="several machines"):
        find_membership(many)
    named = {**many, "TORCHELASTIC_RUN_ID": "launch-9"}
    assert find_membership(named).run == find_membership({**named, "RANK": "3"}).run


def test_what_is_announced_is_taken_back_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARKH_RUN_ID", "outside")
    announced.add("a")
    announced.add("b")
    assert (os.environ["CHARKH_RUN_ID"], os.environ["CHARKH_RUN_STARTER"]) == ("b", str(os.getpid()))
    announced.remove("a")
    assert os.environ["CHARKH_RUN_ID"] == "b"
    announced.remove("b")
    announced.remove("b")
    assert os.environ["CHARKH_RUN_ID"] == "outside"
    assert "CHARKH_RUN_STARTER" not in os.environ


def test_writers_are_ordered_by_rank_each_before_its_children() -> None:
    writers = ["mlflow", "10", "2.7", "2", "0.99", "0", "x.1"]
    assert sorted(writers, key=writer_order) == ["0", "0.99", "2", "2.7", "10", "mlflow", "x.1"]
    assert child_writer("3.4") == f"3.{os.getpid()}"


def test_children_are_told_the_folder_and_the_starter_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHARKH_RUN_FOLDER", raising=False)
    announced.add("a", "/work/project")
    assert joined_folder(os.environ) == ""
    assert joined_folder({**os.environ, "CHARKH_RUN_STARTER": "1"}) == "/work/project"
    announced.add("b")
    assert "CHARKH_RUN_FOLDER" not in os.environ
    announced.remove("b")
    announced.remove("a")
    assert "CHARKH_RUN_FOLDER" not in os.environ
