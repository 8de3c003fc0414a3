"""How a figure is shown."""

import sys


def tell(name: str, value: str, reference: str = "", ratio: float | None = None) -> None:
    """One line of the table."""
    shown = "" if ratio is None else f"{ratio:.2f}"
    sys.stdout.write(f"{name:<52} {value:>16} {reference:>34} {shown:>7}\n")
    sys.stdout.flush()


def percentile(values: list[float], part: float) -> float:
    """The value that `part` of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]
