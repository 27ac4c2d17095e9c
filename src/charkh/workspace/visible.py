"""How far each question, decision and fact reaches, in one readable list: see `charkh.users.guarded`.

What is not in it (lineage, pipelines, endpoints, monitors, loops …) is about the workspace as a whole, and needs a
role over the whole of it.
"""

from charkh.users.guarded import Rules
from charkh.workspace import visible_named, visible_runs

RULES = Rules(
    answers={**visible_named.ANSWERS, **visible_runs.ANSWERS},
    commands={**visible_named.COMMANDS, **visible_runs.COMMANDS},
    facts={**visible_named.FACTS, **visible_runs.FACTS},
)
