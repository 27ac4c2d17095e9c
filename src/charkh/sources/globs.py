"""Patterns over keys with `/` between their parts: `*` within one part, `**` over any number of them."""

import re


def key_pattern(pattern: str) -> re.Pattern[str]:
    """What a whole key must match: `*` and `?` stay within a part, `**` crosses parts, `**/` may stand for none."""
    parts: list[str] = []
    for piece in re.split(r"(\*\*/|\*\*|\*|\?)", pattern):
        parts.append({"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(piece, re.escape(piece)))
    return re.compile("".join(parts), re.DOTALL)
