"""What the server counts about itself, for /metrics. No label takes its values from what a client sends.

Histograms and counters are touched where a thing happens; gauges ask, when they are read, whoever app.py names.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

HTTP_REQUESTS = Counter(
    "crewship_http_requests", "Requests that were answered.", ("method", "route", "status"), registry=REGISTRY
)
HTTP_SECONDS = Histogram(
    "crewship_http_request_seconds",
    "From the request's head to the answer's last byte, without event streams.",
    ("method", "route"),
    buckets=FAST,
    registry=REGISTRY,
)
STREAMS = Gauge("crewship_streams_open", "Event streams and waits that are open.", registry=REGISTRY)
RUNS_CREATED = Counter("crewship_runs_created", "Runs that were asked for.", registry=REGISTRY)
RUNS_ENDED = Counter("crewship_runs_ended", "Runs that ended, and why.", ("status", "reason"), registry=REGISTRY)
RUNS_WAITING = Gauge("crewship_runs_waiting", "Runs that wait for their turn on this server.", registry=REGISTRY)
SANDBOXES = Gauge("crewship_sandboxes", "Runs that this server sees through, each in a sandbox.", registry=REGISTRY)
BUILDS = Gauge("crewship_builds", "Versions that wait for their build or are being built.", registry=REGISTRY)
EXECUTOR_FAILURES = Counter(
    "crewship_executor_failures",
    "What the executor or the server's own care for it could not do: launch, supervise, build.",
    ("at",),
    registry=REGISTRY,
)
APPEND_SECONDS = Histogram(
    "crewship_log_append_seconds", "From asking until it is durable.", buckets=FAST, registry=REGISTRY
)
BATCH_APPENDS = Histogram(
    "crewship_log_batch_appends",
    "Appends that shared one transaction.",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000),
    registry=REGISTRY,
)
LOG_WAITING = Gauge("crewship_log_waiting", "Appends that wait for the writer.", registry=REGISTRY)
LOG_POSITION = Gauge("crewship_log_position", "The newest event of the log.", registry=REGISTRY)
VIEWS_LAG = Gauge("crewship_views_lag_positions", "How far the views are behind the log.", registry=REGISTRY)
STARTS = Gauge("crewship_server_starts", "How often a server was started on this data folder.", registry=REGISTRY)
READY = Gauge("crewship_ready", "1 where /readyz says so.", registry=REGISTRY)
INFO = Gauge("crewship_info", "Always 1.", ("version", "executor", "log"), registry=REGISTRY)
