"""The overview: what it shows, that hostile text stays text, and how a browser gets in."""

import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from charkh.runs.projects import ensure_project
from charkh.runs.run import SYSTEM_CONTEXT
from charkh.runs.start import start
from charkh.server.page import PAGE_HEADERS, overview_page, sign_in_page
from charkh.server.policy import Doorkeeper
from charkh.workspace.overview import overview
from charkh.workspace.workspace import Workspace, open_workspace
from unit.server.conftest import TOKEN, Ask
from workspaces import HOSTILE


class Elements(HTMLParser):
    """The elements, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def page(workspace: Workspace) -> str:
    return overview_page(overview(workspace))


def test_hostile_text_stays_text(page: str) -> None:
    found = Elements(page)
    assert not {"script", "img", "iframe", "object", "form", "a", "link"} & set(found.names)
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    assert {name for name, _ in found.attributes} <= {"lang", "charset", "name", "content", "class"}
    assert f"train {HOSTILE}" in found.text, "a run's name is shown as it is"
    assert found.text.count(HOSTILE) >= 2, "and so is the reason of a decision"
    assert "flights <b>year" in found.text
    assert "<b>year" not in page


def test_every_noun_is_shown(page: str) -> None:
    text = " ".join(Elements(page).text.split())
    for shown in ("flights@1", "300", "delay@1", "champion", "psi > 0.2", "refused", "finished", "auc 0.7"):
        assert shown in text, shown


def test_a_run_is_shown_with_its_project_params_and_metrics(tmp_path: Path) -> None:
    with open_workspace(tmp_path, create=True) as opened:
        project = ensure_project(opened.store, "vision/<b>small").id
        params = {"rate": 0.1, "layers": [8, 8], "words": "x" * 500, **{f"z{n}": n for n in range(6)}}
        with start(opened.store, name="net", params=params, project=project) as run:
            run.log({"auc": 0.875})
            run.log({"cpu": 40.0}, context=SYSTEM_CONTEXT)
        page = overview_page(overview(opened))
    text = Elements(page).text
    assert "vision/<b>small" in text
    assert "<b>small" not in page
    assert "rate 0.1" in text
    assert "and 3 more" in text
    assert "x" * 60 not in text
    assert "auc 0.875" in text
    assert "cpu" not in text


def test_what_is_not_there_yet_is_named(workspace: Workspace) -> None:
    without = msgspec.structs.replace(overview(workspace), alerts=(), endpoints=())
    text = Elements(overview_page(without)).text
    assert "Nothing yet of: endpoints, alerts." in text


def test_an_empty_workspace_says_how_to_begin(tmp_path: Path) -> None:
    with open_workspace(tmp_path, create=True) as empty:
        text = Elements(overview_page(overview(empty))).text
    assert tmp_path.name in text
    assert "charkh dataset add" in text


def test_a_stale_overview_says_so(workspace: Workspace) -> None:
    stale = msgspec.structs.replace(overview(workspace), stale=True)
    assert "not in this page yet" in overview_page(stale)
    assert "not in this page yet" not in overview_page(overview(workspace))


def test_the_style_is_the_only_thing_that_the_page_allows(page: str) -> None:
    policy = PAGE_HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    for text in (page, sign_in_page()):
        assert len(re.findall("<style>", text)) == 1
        assert "style=" not in text
        assert "http" not in Elements(text).text
        assert "//" not in re.sub(r"evil\.test", "", text).replace("src=//", "")


def test_the_link_is_exchanged_for_a_cookie_that_opens_the_page(ask: Ask, doorkeeper: Doorkeeper) -> None:
    stranger = ask("GET", "/")
    assert stranger.status_code == 401
    assert "charkh up" in stranger.text
    assert "delay" not in stranger.text
    assert ask("GET", "/?token=wrong").status_code == 401
    opened = ask("GET", f"/?token={TOKEN}")
    assert (opened.status_code, opened.headers["location"], opened.text) == (303, "/", "")
    cookie = opened.headers["set-cookie"]
    assert TOKEN not in cookie
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    again = ask("GET", "/", headers={"Cookie": cookie.partition(";")[0]})
    assert again.status_code == 200
    assert "delay@1" in again.text
    assert ask("GET", "/", token=TOKEN).text == again.text
