"""What the facts mean to a reader. Pure: a recorded event in, writes out."""

from projections.access import ACCESS_VIEW
from projections.artifacts import ARTIFACTS_VIEW
from projections.deployments import DEPLOYMENTS_VIEW
from projections.erasures import ERASURES_VIEW
from projections.retention import RETENTION_VIEW
from projections.rows import ROWS_VIEW
from projections.runs import RUNS_VIEW
from projections.schedules import SCHEDULES_VIEW
from projections.tables import TABLES_VIEW
from projections.threads import THREADS_VIEW
from projections.webhooks import WEBHOOKS_VIEW

ALL = (
    RUNS_VIEW,
    DEPLOYMENTS_VIEW,
    ARTIFACTS_VIEW,
    ACCESS_VIEW,
    THREADS_VIEW,
    WEBHOOKS_VIEW,
    SCHEDULES_VIEW,
    TABLES_VIEW,
    ROWS_VIEW,
    ERASURES_VIEW,
    RETENTION_VIEW,
)
"""Every projection of the service."""
