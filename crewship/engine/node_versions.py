"""Which versions of Node a request like package.json's `engines.node` takes. Read as npm does, prereleases aside."""

import re

_NUMBERS = r"v?(\d{1,9}|[xX*])(?:\.(\d{1,9}|[xX*]))?(?:\.(\d{1,9}|[xX*]))?(?:[-+]\S*)?"
_CLAUSE = re.compile(rf"\s*(>=|<=|>|<|=|\^|~)?\s*{_NUMBERS}")
_BETWEEN = re.compile(rf"\s*{_NUMBERS}\s+-\s+{_NUMBERS}\s*")

Version = tuple[int, ...]
Range = tuple[Version, Version]  # from, up to and not with


def allows(asked: str | None, version: Version) -> bool:
    """Whether a version (major, minor, patch) is within a range; a range that cannot be understood allows all."""
    if not asked or not asked.strip():
        return True
    ranges = [_clauses(part) for part in asked.split("||")]
    return any(part is None or all(low <= version < high for low, high in part) for part in ranges)


def _clauses(part: str) -> list[Range] | None:
    """What all have to hold; None where it cannot be understood."""
    if between := _BETWEEN.fullmatch(part):
        low, high = _span(between.groups()[:3]), _span(between.groups()[3:])
        return [(low[0], high[1])]
    found, at = [], 0
    while part[at:].strip():
        if (clause := _CLAUSE.match(part, at)) is None:
            return None
        found.append(_range(clause[1], _span(clause.groups()[1:])))
        at = clause.end()
    return found


_ALL: Range = ((0, 0, 0), (10**9, 0, 0))


def _span(parts: tuple[str | None, ...]) -> Range:
    """From the first to behind the last version that these numbers stand for."""
    known = [int(part) for part in parts if part is not None and part.isdigit()]
    if not known:
        return _ALL
    low = (*known, 0, 0)[:3]
    return low, ((*known[:-1], known[-1] + 1, 0, 0)[:3])


def _range(sign: str | None, span: Range) -> Range:
    low, high = span
    match sign:
        case ">=":
            return low, _ALL[1]
        case ">":
            return high, _ALL[1]
        case "<":
            return _ALL[0], low
        case "<=":
            return _ALL[0], high
        case "^":
            first = next((place for place in range(3) if low[place]), 2)
            return low, max(high, (*low[:first], low[first] + 1, 0, 0)[:3])
        case "~":
            return low, max(high, (low[0], low[1] + 1, 0)) if high[0] == low[0] else high
    return span
