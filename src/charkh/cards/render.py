"""A card as one self-contained HTML page; nothing in it runs and nothing is loaded. Pure.

Raw HTML is shown as text, links to scripts are not made, and the page's own policy forbids everything but its style.
"""

import html

from markdown_it import MarkdownIt

from charkh.cards.regions import parse_document, without_markers

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border: 1px solid #8886; padding: .25rem .6rem; text-align: start; }
pre { overflow-x: auto; padding: .8rem; border: 1px solid #8886; border-radius: .4rem; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2rem; }
""".strip()


def render_html(markdown: str) -> str:
    """The page of a card; its front matter stands at the end."""
    document = parse_document(without_markers(markdown))
    body = "".join(part.text for part in document.body)
    title = next(iter(_first_headings(body)), "card")
    front = "".join(part.text for part in document.front) if document.front is not None else ""
    metadata = f"<h2>Metadata</h2>\n<pre>{html.escape(front)}</pre>\n" if front.strip() else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(POLICY)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"{render_fragment(body)}{metadata}</body>\n</html>\n"
    )


def render_fragment(markdown: str) -> str:
    """Markdown as HTML elements, for a page that has its own frame."""
    return MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)


def _first_headings(body: str) -> list[str]:
    return [line.lstrip("# ").strip() for line in body.splitlines() if line.startswith("# ")][:1]
