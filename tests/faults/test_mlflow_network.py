"""Unmodified MLflow clients behind a network that cuts connections: nothing acknowledged lost, nothing twice."""

import os
import subprocess
from pathlib import Path

import pytest
from tests.faults.proxying import proxy_to
from tests.functional.test_server import Server

from charkh.runs.find import find
from charkh.runs.history import metric_histories
from charkh.workspace.workspace import open_workspace
from peers import peer_program

WRITERS = 16
STEPS = 15
CUT_EVERY = 41
CLIENT = f"""
import sys, threading
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException

def again(call, *arguments, **named):
    # The client sends again what got no answer; of an answer that was cut in its middle it tells its caller.
    while True:
        try:
            return call(*arguments, **named)
        except MlflowException as error:
            if "failed with exception" not in str(error):
                raise

client = MlflowClient(sys.argv[1])
failed = []

def work(writer, run):
    try:
        for step in range({STEPS}):
            if step % 5:
                again(client.log_metric, run, "m", writer * 1000 + step, timestamp=5000 + step, step=step)
            else:
                point = Metric("m", writer * 1000 + step, 5000 + step, step)
                again(client.log_batch, run, metrics=[point], params=[Param(f"p{{step}}", str(step))])
        again(client.set_tag, run, "done", "yes")
        again(client.set_terminated, run)
    except BaseException as error:
        failed.append(repr(error))
        raise

runs = [client.create_run("0", run_name=f"w{{writer}}").info.run_id for writer in range({WRITERS})]
print("begun", flush=True)
sys.stdin.readline()
threads = [threading.Thread(target=work, args=each) for each in enumerate(runs)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
sys.exit("; ".join(failed) or 0)
"""


@pytest.mark.needs("peer:mlflow")
def test_a_cutting_network_between_clients_and_server(tmp_path: Path) -> None:
    open_workspace(tmp_path, create=True).close()
    server = Server(tmp_path, "up", "--every", "0s")
    retrying = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "10", "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0"}
    with proxy_to(server.port) as proxy:
        clients = subprocess.Popen(
            [str(peer_program("mlflow", "python")), "-W", "ignore", "-c", CLIENT, f"http://127.0.0.1:{proxy.port}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **retrying, "MLFLOW_TRACKING_TOKEN": server.token},
        )
        assert clients.stdout is not None
        # A creation whose answer is cut off is asked for again, and makes another run: MLflow's protocol cannot tell.
        assert clients.stdout.readline() == "begun\n"
        proxy.cut_every = CUT_EVERY
        _, said = clients.communicate("\n", timeout=240)
        assert clients.returncode == 0, said
        assert proxy.cuts > 3
    server.stop()
    with open_workspace(tmp_path) as workspace:
        for writer in range(WRITERS):
            run = find(workspace.store, f"w{writer}")
            assert (run.status, run.tags["done"]) == ("finished", "yes")
            assert run.params == {f"p{step}": str(step) for step in range(0, STEPS, 5)}
            (curve,) = metric_histories(workspace.store, run.id, "m")
            assert curve.steps.tolist() == list(range(STEPS))
            assert curve.values.tolist() == [float(writer * 1000 + step) for step in range(STEPS)]
