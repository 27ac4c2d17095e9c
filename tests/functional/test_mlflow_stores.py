"""A data scientist moves from MLflow's folder to charkh, and back, from the command line."""

from functional.conftest import Charkh


def write_store(charkh: Charkh) -> str:
    run = "0" * 31 + "7"
    charkh.write("mlruns/5/meta.yaml", "name: flights/delay\nexperiment_id: '5'\ncreation_time: 1700000000000\n")
    folder = f"mlruns/5/{run}"
    charkh.write(
        f"{folder}/meta.yaml", "start_time: 1700000000000\nend_time: 1700000060000\nstatus: 3\nrun_name: first\n"
    )
    charkh.write(f"{folder}/params/rate", "0.1")
    charkh.write(f"{folder}/tags/stage", "draft")
    charkh.write(f"{folder}/metrics/loss", "1700000000000 0.5 0\n1700000001000 0.25 1\n")
    charkh.write(f"{folder}/artifacts/note.txt", "hello")
    return run


def test_there_and_back(charkh: Charkh) -> None:
    run = write_store(charkh)
    dry = charkh.json("import", "mlflow", "mlruns", "--dry-run")
    assert dry["dry"]
    assert dry["counts"]["point"]["new"] == 2
    assert charkh.json("run", "search") == []
    report = charkh.json("import", "mlflow", "mlruns")
    assert report["counts"]["run"] == {"new": 1, "there": 0}
    (found,) = charkh.json("run", "search", "params.rate = '0.1' and metrics.loss < 0.3")
    assert run in str(found)
    assert "here already" in charkh("import", "mlflow", "mlruns")
    assert charkh.json("import", "mlflow", "mlruns")["counts"]["run"] == {"new": 0, "there": 1}
    written = charkh.json("export", "mlflow", "--project", "flights/delay", "-o", "back")
    assert written["counts"]["point"] == 2
    assert (charkh.folder / "back" / "5" / run / "artifacts" / "note.txt").read_text() == "hello"
    assert charkh.json("import", "mlflow", "back")["counts"]["run"] == {"new": 0, "there": 1}


def test_mistakes_are_told(charkh: Charkh) -> None:
    assert "no folder" in charkh.fails(13, "import", "mlflow", "nowhere")
    assert "MLFLOW_TRACKING_TOKEN" in charkh.fails(2, "import", "mlflow", "http://ann:secret@host:5000")
    assert "--to" in charkh.fails(2, "export", "mlflow")
    assert charkh.run("import", "mlflow", "http://127.0.0.1:9").returncode == 16
    run = write_store(charkh)
    charkh.write("mlruns/5/broken/meta.yaml", "run_id: [cut")
    assert "is damaged" in charkh.fails(3, "import", "mlflow", "mlruns")
    assert charkh.json("run", "search")
    assert run
