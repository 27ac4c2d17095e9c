"""A user's run goes on in processes that it starts: spawned workers, pools, and what they print."""

from functional.conftest import Charkh

SPAWNED = """
import concurrent.futures, multiprocessing, os
import charkh
from charkh.workspace.ambient import use, workspace

def work(number):
    os.chdir("/")
    for step in range(50):
        charkh.log({f"loss/{number}": float(step)}, step=step)
    return number

def main():
    context = multiprocessing.get_context("spawn")
    # Nothing but the run itself says where the children are to record.
    with use(workspace("project")), charkh.run("train"):
        charkh.log(own=1.0)
        children = [context.Process(target=work, args=(number,)) for number in range(2)]
        for each in children:
            each.start()
        for each in children:
            each.join()
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
            assert sorted(pool.map(work, [2, 3])) == [2, 3]

if __name__ == "__main__":
    main()
"""


def test_spawned_children_log_to_the_run_of_their_parent(charkh: Charkh) -> None:
    charkh.write("train.py", SPAWNED)
    charkh.write("project/charkh.toml", "")
    charkh.python("import subprocess, sys; subprocess.run([sys.executable, 'train.py'], check=True)")

    inside = Charkh(charkh.folder / "project")
    (run,) = inside.json("run", "list")
    assert run["status"] == "finished"
    for number in range(4):
        points = inside.json("run", "log", "train", f"loss/{number}")
        assert [point["value"] for point in points] == list(range(50))
