"""The test of other versions of the same model: how many rows they answer otherwise (prediction churn)."""

import numpy as np

from charkh.core.stability_settings import ChurnTest
from charkh.evaluations.stability.certificate import Found, Result, Witness
from charkh.evaluations.stability.moved import moves, share, unit, verdict, witnesses
from charkh.evaluations.stability.subject import Unanswered, answers
from charkh.evaluations.stability.trial import Trial


def churn(trial: Trial, test: ChurnTest) -> Found:
    """The mean share over the versions; an interval over so few would say nothing."""
    shares: dict[str, float] = {}
    shown: tuple[Witness, ...] = ()
    numbers = [trial.before.numbers]
    left_out: list[str] = []
    for ref, ask in trial.tried.others.items():
        try:
            after = answers(ask, trial.rows)
        except Unanswered:
            left_out.append(ref)
            continue
        if after.unsound(trial.before):
            left_out.append(ref)
            continue
        found = moves(trial.before, after, test.tolerance)
        value = share(found.changed).value
        if not shares or value > max(shares.values()):
            shown = witnesses(trial.before, after, found, trial.rows, trial.rows, (), ref)
        shares[ref] = value
        numbers.append(after.numbers)
    if not shares:
        return trial.skipped("there is no other version that answers the same rows")
    value = float(np.mean(list(shares.values())))
    spread = float(np.std(np.stack(numbers), axis=0, ddof=1).mean()) if trial.before.numbers.size else 0.0
    note = ", ".join(f"{ref}: {part:.3g}" for ref, part in shares.items())
    if left_out:
        note += f"; without {', '.join(left_out)}, which cannot answer these rows"
    result = Result(
        test=trial.name,
        kind=trial.kind,
        outcome=verdict(value, test.failures),
        measure=f"{unit(trial.before, test.tolerance)}, mean over {len(shares)} other versions",
        value=value,
        bound=test.failures,
        rows=trial.rows.height,
        note=note[:300],
    )
    return Found(result=result, witnesses=shown, lines={"spread": spread, **shares})
