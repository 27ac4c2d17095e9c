"""Scripts that were written for trackio, run with their one import changed."""

from tests.functional.conftest import Charkh


def test_a_script_is_recorded_as_it_stands(charkh: Charkh) -> None:
    charkh.python(
        "import charkh.bridges.trackio as trackio\n"
        "trackio.init(project='flights', name='first', config={'rate': 0.1})\n"
        "for step in range(3): trackio.log({'loss': 1 / (step + 1)})\n"
        "trackio.log({'rows': trackio.Table(columns=['a'], data=[[1]])})\n"
        "trackio.finish()\n"
        "trackio.init('flights', name='second')\n"
        "trackio.finish()"
    )
    second, first = charkh.json("run", "list")
    assert (first["name"], first["params"], first["status"]) == ("first", {"rate": 0.1}, "finished")
    assert first["metrics"]["loss"] == 1 / 3
    assert first["project"] == second["project"] != "0"


def test_a_run_goes_on_by_its_name(charkh: Charkh) -> None:
    code = (
        "import charkh.bridges.trackio as trackio\n"
        "trackio.init(project='flights', name='first', resume='allow')\n"
        "trackio.log({'loss': 1.0})\n"
        "trackio.finish()"
    )
    charkh.python(code)
    charkh.python(code)
    assert len(charkh.json("run", "list")) == 1


def test_what_is_not_carried_says_so(charkh: Charkh) -> None:
    done = charkh.run_python("import charkh.bridges.trackio as trackio; trackio.show()")
    assert "trackio.show is not carried" in done.stderr
