"""PromQL conditions turned so that they answer whether they hold or not: does all that an alert looks at exist?"""

import re
from collections.abc import Iterator
from typing import Final

# Comparisons, set operators and brackets, with strings, selectors and windows as one piece each: they have an `=` too.
_TOKENS: Final = re.compile(
    r"""(?P<piece>"(?:[^"\\]|\\.)*"|\{(?:[^}"]|"(?:[^"\\]|\\.)*")*\}|\[[^\]]*\])"""
    r"""|(?P<comparison>==|!=|>=|<=|>|<)(?P<bool>\s*bool\b)?|\b(?P<set>and|or|unless)\b|(?P<open>\()|(?P<close>\))""",
    re.VERBOSE,
)
_OFFSET: Final = re.compile(r"\boffset\s+\w+")
_MATCHING: Final = re.compile(r"\s*(?:on|ignoring)\s*\([^)]*\)(?:\s*group_(?:left|right)\s*\([^)]*\))?")


def turned(expression: str) -> str:
    """The expression with every comparison giving 0 or 1 in place of a choice, and `and` for each `unless`.

    It has no answer only if something that it looks at does not exist, or labels do not match. What lies in the past is
    looked for now, and what must be absent must be there.
    """

    def turn(found: re.Match[str]) -> str:
        if found["comparison"]:
            return f"{found['comparison']} bool"
        return "and" if found["set"] == "unless" else found[0]

    return _OFFSET.sub("", _TOKENS.sub(turn, expression)).replace("absent(", "count(")


def operands(expression: str) -> Iterator[str]:
    """What `and`, `or` and `unless` combine, on the outermost level and within brackets of its own, turned each."""
    parts, begin, depth = [], 0, 0
    for token in _TOKENS.finditer(expression):
        depth += bool(token["open"]) - bool(token["close"])
        if token["set"] and depth == 0:
            parts.append(expression[begin : token.start()])
            matching = _MATCHING.match(expression, token.end())
            begin = matching.end() if matching else token.end()
    parts.append(expression[begin:])
    for part in map(str.strip, parts):
        inner = part[1:-1] if _is_bracketed(part) else ""
        if inner:
            yield from operands(inner)
        else:
            yield turned(part)


def _is_bracketed(expression: str) -> bool:
    """Whether one pair of brackets encloses all of it."""
    depth = 0
    for token in _TOKENS.finditer(expression):
        depth += bool(token["open"]) - bool(token["close"])
        if depth == 0 and token.end() < len(expression):
            return False
    return expression.startswith("(") and depth == 0
