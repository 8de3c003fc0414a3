"""New ids: a prefix and 20 characters of [a-z0-9], of which the first 9 are the time, so that ids sort by age."""

import secrets
import time

ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_TIME_DIGITS = 9  # milliseconds in base 36 fit until the year 5188
_RANDOM_DIGITS = 11


def new(prefix: str) -> str:
    """A new id, for example `run_0mc3k9z0q4h2x8d1f7aa`. Two are equal with a chance of one in 10**17 a millisecond."""
    return f"{prefix}_{_digits(time.time_ns() // 1_000_000, _TIME_DIGITS)}{random_text(_RANDOM_DIGITS)}"


def random_text(length: int) -> str:
    """`length` characters of [a-z0-9] that nobody can guess: 5.17 bits each."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def _digits(number: int, width: int) -> str:
    out = []
    for _ in range(width):
        number, digit = divmod(number, 36)
        out.append(ALPHABET[digit])
    return "".join(reversed(out))
