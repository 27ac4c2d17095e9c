"""SQL over everything that is recorded, and the walls around it."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from charkh.core.errors import Invalid, Unavailable
from charkh.runs.delete import delete_run
from charkh.runs.start import ActiveRun, start
from charkh.workspace.querying import TABLES
from charkh.workspace.workspace import Workspace, open_workspace

OPEN: list[ActiveRun] = []


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    folder = tmp_path_factory.mktemp("sql")
    with open_workspace(folder, create=True) as opened:
        for number in range(4):
            params = {"rate": number / 10, "model": "boost" if number % 2 else "forest", "list": [1, 2]}
            run = start(opened.store, name=f"run {number}", params=params, tags={"a": str(number)})
            for step in range(5):
                run.log({"auc": number / 10 + step / 100, "loss": 1.0}, step=step)
            run.set_tags({"a": "later"})
            run.add_artifact("a/b.txt", b"x")
            run.use("dataset:d")
            if number < 3:
                run.end()
            OPEN.append(run)
        start(opened.store, name="gone").end()
        delete_run(opened.store, "gone")
        yield opened
        OPEN[-1].end()


def test_runs_are_joined_with_what_is_known_of_them(workspace: Workspace) -> None:
    found = workspace.sql(
        "select name, m.last, m.min, m.max, p.number from runs join metrics m using (run) ".replace(
            "select name", "select runs.name"
        )
        + "join params p using (run) where m.name = 'auc' and p.name = 'rate' order by created"
    )
    assert found.rows() == [
        (
            f"run {number}",
            pytest.approx(number / 10 + 0.04),
            number / 10,
            pytest.approx(number / 10 + 0.04),
            number / 10,
        )
        for number in range(4)
    ]
    assert workspace.sql("select distinct value from tags").rows() == [("later",)]
    assert workspace.sql("select text from params where name = 'model' and run = run limit 1").height == 1
    assert workspace.sql("select distinct value from params where name = 'list'").item() == "[1,2]"
    assert workspace.sql("select status, count(*) from runs group by 1 order by 1").rows() == [
        ("finished", 3),
        ("running", 1),
    ]
    assert workspace.sql("select distinct path from artifacts").item() == "a/b.txt"
    assert workspace.sql("select count(*) from used where subject = 'dataset:d'").item() == 4
    assert workspace.sql("select max(ended) >= min(created) from runs").item() is True


def test_points_are_those_of_the_runs_that_are_asked_for(workspace: Workspace) -> None:
    found = workspace.sql(
        """select "run", count(*) n, max(value) from points('params.model = ''boost''', 'auc') group by 1 order by 3"""
    )
    assert [row[1:] for row in found.rows()] == [(5, pytest.approx(0.14)), (5, pytest.approx(0.34))]
    assert workspace.sql("select count(*) from points").item() == 40
    both = "select a.step from points('name = ''run 0''') a join points('name = ''run 1''', 'loss') b using (step)"
    assert workspace.sql(both).height == 10


def test_every_table_is_there_even_when_it_is_empty(workspace: Workspace) -> None:
    for table in TABLES:
        assert workspace.sql(f"select * from {table} limit 0").height == 0
    assert workspace.sql("describe runs").height > 10


def test_odd_types_and_names_are_told(workspace: Workspace) -> None:
    found = workspace.sql('select 1 as a, 2 as a, \'x\' as "b""c", interval 3 day, sum(5) as s from runs -- ;')
    assert found.columns[:3] == ["a", "a_2", 'b"c']
    assert found["s"].dtype == pl.Int64
    assert workspace.sql("select null as n").item() is None


@pytest.mark.parametrize(
    "text",
    [
        "select * from read_csv('/etc/passwd')",
        "select * from '/etc/passwd'",
        "select * from read_text('/etc/hostname')",
        "select * from glob('/*')",
        "select * from read_parquet('https://example.org/x.parquet')",
        "copy (select 1) to '/tmp/charkh-escaped.csv'",
        "attach '/tmp/charkh-escaped.db'",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "set lock_configuration = false",
        "pragma enable_external_access = true",
        "create table x as select 1",
        "drop table runs",
        "insert into runs (run) values ('x')",
        "select 1; select 2",
        "",
        "select * from workspace",
        "select getenv('HOME')",
        "export database '/tmp/charkh-escaped'",
        "select nothing from runs",
    ],
)
def test_what_is_no_question_is_refused(workspace: Workspace, text: str) -> None:
    with pytest.raises(Invalid):
        workspace.sql(text)
    assert not list(Path("/tmp").glob("charkh-escaped*"))


def test_a_question_without_end_is_stopped(workspace: Workspace) -> None:
    from charkh.workspace.querying import sql

    with pytest.raises(Unavailable, match="took longer"):
        sql(workspace.store, "select count(*) from range(10000000000) a, range(10000000000) b", seconds=0.2)


def test_runs_as_a_table(workspace: Workspace) -> None:
    frame = workspace.runs_frame("params.rate > 0", order="created")
    assert frame["name"].to_list() == ["run 1", "run 2", "run 3"]
    assert frame["params.rate"].to_list() == [0.1, 0.2, 0.3]
    assert frame["params.list"].to_list() == ["[1,2]"] * 3
    assert frame["metrics.auc"].to_list() == pytest.approx([0.14, 0.24, 0.34])
    assert frame["tags.a"].to_list() == ["later"] * 3
    assert frame["duration"].null_count() == 1
    assert frame.schema["created"] == pl.Datetime("us", "UTC")
    assert workspace.runs_frame("params.rate > 5").height == 0
    assert [run.name for run in workspace.search_runs("params.rate > 0.1", order="created")] == ["run 2", "run 3"]
