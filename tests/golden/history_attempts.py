"""What runs do more than once, for the golden log."""

from crewship.eventlog import Change
from domain import run


def attempts() -> list[Change]:
    """A run that repeats another."""
    requested = run.RunRequested(
        run_id="run_9",
        deployment_id="dep_1",
        version_id="ver_1",
        version_number=1,
        environment="production",
        input={"topic": "x"},
        rerun_of="run_1",
    )
    return [Change("run_9", 0, [requested])]
