"""Answers in the shape that the signature declares: a model of labels gives `[n]` where a folder may say `[-1, 1]`."""

from collections.abc import Callable, Sequence

from charkh.ports.runtimes import Tensors, TensorSpec

Predict = Callable[[Tensors], Tensors]


def as_declared(predict: Predict, outputs: Sequence[TensorSpec]) -> Predict:
    """What answers with a column where one is declared; `predict` itself where none is.

    Args:
        predict: of the model.
        outputs: of the signature that its server tells.
    """
    columns = [spec for spec in outputs if len(spec.shape) > 1 and all(size == 1 for size in spec.shape[1:])]
    if not columns:
        return predict

    def shaped(inputs: Tensors) -> Tensors:
        answers = dict(predict(inputs))
        for spec in columns:
            tensor = answers.get(spec.name)
            if tensor is not None and tensor.ndim == 1:
                answers[spec.name] = tensor.reshape(-1, *spec.shape[1:])
        return answers

    return shaped
