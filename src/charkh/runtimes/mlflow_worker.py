"""Loads an MLmodel folder with MLflow and answers questions, one JSON line each; run by an interpreter with MLflow.

It stands alone: nothing of charkh need be installed where it runs. Arguments: the folder. A question is
`{"columns": {NAME: [...]}}` or `{"tensor": [...], "dtype": "float64"}`; an answer `{"outputs": {NAME: [...]}}`,
`{"refused": TEXT}` or `{"failed": TEXT}`.
"""

import importlib
import json
import os
import sys
from typing import Any, cast


def main() -> None:
    """Load, say so, and answer until the pipe is closed."""
    asked = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.dup2(2, 1)
    try:
        # Named as text: it is installed where this runs, and not here.
        model: Any = importlib.import_module("mlflow.pyfunc").load_model(sys.argv[1])
    except BaseException as error:  # noqa: BLE001 (foreign code may raise anything; who asked is told)
        _say(answers, {"failed": f"{type(error).__name__}: {error}"})
        return
    _say(answers, {})
    for line in asked:
        try:
            _say(answers, {"outputs": _named(model.predict(_frame(json.loads(line))))})
        except Exception as error:  # noqa: BLE001 (the same)
            kind = "refused" if type(error).__name__ in {"MlflowException", "ValueError", "TypeError"} else "failed"
            _say(answers, {kind: f"{type(error).__name__}: {error}"})


def _frame(question: Any) -> Any:
    import numpy as np

    pd: Any = importlib.import_module("pandas")

    if "tensor" in question:
        return np.array(question["tensor"], dtype=question["dtype"])
    columns = {name: np.array(each["values"], dtype=each["dtype"]) for name, each in question["columns"].items()}
    return pd.DataFrame(columns)


def _named(answer: Any) -> dict[str, Any]:
    import numpy as np

    plain: Any = np.asarray

    if hasattr(answer, "columns"):
        return {str(name): answer[name].tolist() for name in answer.columns}
    if isinstance(answer, dict):
        return {str(name): plain(value).tolist() for name, value in cast(Any, answer).items()}
    return {"": plain(answer).tolist()}


def _say(answers: Any, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message).encode() + b"\n")
    answers.flush()


if __name__ == "__main__":
    main()
