"""What `charkh.toml` may say about a monitor."""

import pytest

from charkh.core.errors import Invalid
from charkh.core.monitor_settings import AlertSettings, MonitorSettings, check_monitor


def test_estimates_need_something_to_learn_from() -> None:
    for settings in (
        MonitorSettings(estimate=True),
        MonitorSettings(estimate=True, target="late"),
        MonitorSettings(estimate=True, truth="truth on trip"),
    ):
        with pytest.raises(Invalid, match="an estimate needs a target"):
            check_monitor(settings)
    check_monitor(MonitorSettings(estimate=True, target="late", truth="truth on trip"))
    check_monitor(MonitorSettings(estimate=True, target="late", held_out="fresh"))


def test_unknown_tests_of_many_columns_are_refused() -> None:
    with pytest.raises(Invalid, match="'lsdd'"):
        check_monitor(MonitorSettings(multivariate=("mmd", "lsdd")))
    check_monitor(MonitorSettings(multivariate=("mmd", "domain"), embedding="text"))


def test_an_alert_without_terms_has_those_of_the_monitor() -> None:
    plain, own = MonitorSettings(
        alert=("mmd > 0.05", AlertSettings(when="estimated.auc < 0.7", severity="page")), owner="ann"
    ).alerts
    assert (plain.severity, plain.owner) == ("warning", "ann")
    assert (own.severity, own.owner) == ("page", "ann")
