"""A card as one self-contained HTML page; nothing in it runs and nothing is loaded. Pure.

Raw HTML is shown as text, links to scripts are not made, and the page's own policy forbids everything but its style.
Tables have headers with a scope, wide ones can be scrolled by keyboard, and text that begins in a right-to-left script
is set that way, whatever stands around it.
"""

import html
import re
from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

from charkh.cards.regions import parse_document, without_markers

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #57606a; --paper: #fff; --shade: #f4f6f8; --line: #d0d7de;
  --link: #0b57a4; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9aa6b2; --paper: #12161b; --shade: #1c2229;
  --line: #38414b; --link: #79b8ff; } }
body { font: 16px/1.6 system-ui, "Segoe UI", "Noto Sans", "Noto Sans Arabic", Vazirmatn, Tahoma, sans-serif;
  max-width: 54rem; margin: 2rem auto; padding: 0 1rem; color: var(--ink); background: var(--paper); }
h1, h2, h3 { line-height: 1.25; }
h2 { margin-top: 2.4rem; padding-bottom: .2rem; border-bottom: 1px solid var(--line); }
a { color: var(--link); }
.scroll { overflow-x: auto; margin: 1rem 0; }
.scroll:focus-visible, pre:focus-visible { outline: 2px solid var(--link); }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { border: 1px solid var(--line); padding: .3rem .6rem; text-align: start; vertical-align: top;
  overflow-wrap: anywhere; }
thead th { background: var(--shade); overflow-wrap: normal; }
tbody th { font-weight: 500; color: var(--soft); white-space: nowrap; }
pre { overflow-x: auto; padding: .8rem; border: 1px solid var(--line); border-radius: .4rem; background: var(--shade);
  font-size: .86rem; line-height: 1.45; direction: ltr; text-align: left; }
code { background: var(--shade); } blockquote { margin: 1rem 0; padding-inline-start: 1rem;
  border-inline-start: 3px solid var(--line); color: var(--soft); }
@media print { body { max-width: none; } .scroll { overflow: visible; } }
""".strip()

_STRONG = re.compile(r"[A-Za-z\u00c0-\u024f\u0370-\u052f\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_RIGHT_TO_LEFT = re.compile(r"[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_PERSIAN = re.compile(r"[\u067e\u0686\u0698\u06a9\u06af\u06cc]")
_HEBREW = re.compile(r"[\u0590-\u05ff\ufb1d-\ufb4f]")
_DIRECTED = frozenset({"heading_open", "paragraph_open", "th_open", "td_open"})


def render_html(markdown: str) -> str:
    """The page of a card; its front matter stands at the end."""
    document = parse_document(without_markers(markdown))
    body = "".join(part.text for part in document.body)
    title = next(iter(_first_headings(body)), "card")
    front = "".join(part.text for part in document.front) if document.front is not None else ""
    metadata = f'<h2>Metadata</h2>\n<pre tabindex="0">{html.escape(front)}</pre>\n' if front.strip() else ""
    return (
        '<!doctype html>\n<html lang="en" dir="ltr">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(POLICY)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"{render_fragment(body)}{metadata}</main>\n</body>\n</html>\n"
    )


def render_fragment(markdown: str) -> str:
    """Markdown as HTML elements, for a page that has its own frame."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(markdown)
    _direct(tokens)
    _head_rows(tokens)
    page = parser.renderer.render(tokens, parser.options, {})
    page = page.replace("<table", '<div class="scroll" role="group" aria-label="table" tabindex="0">\n<table')
    page = page.replace("</table>", "</table>\n</div>")
    return re.sub(r"<pre>", '<pre tabindex="0">', page)


def _direct(tokens: Sequence[Token]) -> None:
    """Say of each block whose first letter is of a right-to-left script that it is.

    A list goes with its first paragraph, and a table with its first head.
    """
    persian = any(token.type == "inline" and _PERSIAN.search(token.content) for token in tokens)
    around: list[Token] = []
    undirected: set[int] = set()
    for place, token in enumerate(tokens):
        if token.type in {"bullet_list_open", "ordered_list_open", "table_open"}:
            around.append(token)
            undirected.add(id(token))
        elif token.type in {"bullet_list_close", "ordered_list_close", "table_close"}:
            around.pop()
        if token.type not in _DIRECTED:
            continue
        content = next((each.content for each in tokens[place + 1 :] if each.type == "inline"), "")
        first = _STRONG.search(content)
        outer = [each for each in around[-1:] if id(each) in undirected and token.type != "heading_open"]
        undirected -= {id(each) for each in outer}
        if first is None or not _RIGHT_TO_LEFT.fullmatch(first[0]):
            continue
        language = "he" if _HEBREW.fullmatch(first[0]) else "fa" if persian else "ar"
        for each in (token, *outer):
            each.attrSet("dir", "rtl")
            each.attrSet("lang", language)


def _head_rows(tokens: Sequence[Token]) -> None:
    """Head cells say that they are of a column; the first cell of a row becomes the head of it."""
    in_body = first = False
    for token in tokens:
        if token.type in {"tbody_open", "thead_open"}:
            in_body = token.type == "tbody_open"
        elif token.type == "tr_open":
            first = True
        elif token.type == "th_open":
            token.attrSet("scope", "col")
        elif token.type == "td_open" and in_body and first:
            token.tag = "th"
            token.attrSet("scope", "row")
        elif token.type == "td_close" and in_body and first:
            token.tag, first = "th", False


def _first_headings(body: str) -> list[str]:
    return [line.lstrip("# ").strip() for line in body.splitlines() if line.startswith("# ")][:1]
