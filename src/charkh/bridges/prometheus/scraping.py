"""A configuration of Prometheus that scrapes charkh and applies its rules; the token stays in its own file."""

from collections.abc import Sequence

JOB = "charkh"


def scrape_configuration(
    *,
    token_file: str = "",
    rules: str = "rules/charkh.yml",
    files: Sequence[str] = ("targets/charkh.json",),
    interval: str = "15s",
    secure: bool = False,
) -> dict[str, object]:
    """The document of `prometheus.yml`.

    Args:
        token_file: the file with the token that servers ask for; empty where they ask for none.
        rules: the rules file, relative to the document.
        files: of `file_sd`, relative to the document.
        interval: between two scrapes and two evaluations.
        secure: whether the servers are asked over HTTPS.
    """
    job: dict[str, object] = {
        "job_name": JOB,
        "metrics_path": "/metrics",
        "scheme": "https" if secure else "http",
        "file_sd_configs": [{"files": list(files)}],
    }
    if token_file:
        job["authorization"] = {"type": "Bearer", "credentials_file": token_file}
    return {
        "global": {"scrape_interval": interval, "evaluation_interval": interval},
        "rule_files": [rules],
        "scrape_configs": [job],
    }
