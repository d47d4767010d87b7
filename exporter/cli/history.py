"""`history …`: reports from the database, and care of it. Reports never take the writer's lock: `serve` may be running.

Each command is loaded when it is run, from the module that its line in the table names.
"""

from exporter.cli.lazy import LazyGroup

history = LazyGroup(
    "history",
    "Reports from the recorded history.\n\n"
    "The window is half-open: [--since, --until). What was not seen is reported as unknown, never guessed.",
    {
        "timeline": ("exporter.cli.history_reports:timeline", "Each agent's stays in a status, one after the other."),
        "summary": ("exporter.cli.history_reports:summary", "How long each agent was in each status."),
        "at": ("exporter.cli.history_reports:at", "Everyone's status at one instant."),
        "sessions": ("exporter.cli.history_reports:sessions", "When agents logged in and out."),
        "intervals": (
            "exporter.cli.history_reports:intervals",
            "How many agents were in each status, bucket by bucket.",
        ),
        "occupancy": ("exporter.cli.history_reports:occupancy", "How much of their ready time agents handled calls."),
        "availability": (
            "exporter.cli.history_reports:availability",
            "How much of their staffed time agents were ready.",
        ),
        "transitions": (
            "exporter.cli.history_reports:transitions",
            "The recorded changes, with both bounds of their time.",
        ),
        "matrix": ("exporter.cli.history_reports:matrix", "How often each status changed into each other one."),
        "long": ("exporter.cli.history_reports:long", "Stays that lasted too long, such as breaks."),
        "coverage": ("exporter.cli.history_reports:coverage", "When somebody was looking, and why not when not."),
        "check": ("exporter.cli.history_care:check", "Whether the database is whole, and how large it is."),
        "backup": ("exporter.cli.history_care:backup", "Copy the database while it is written, and check the copy."),
        "purge": ("exporter.cli.history_care:purge", "Remove what is older than a time, or a person; asks first."),
        "rebuild": ("exporter.cli.history_care:rebuild", "Make what is derived from the facts anew."),
        "export": ("exporter.cli.history_transfer:export", "Every recorded fact as NDJSON, or samples for Prometheus."),
        "import": ("exporter.cli.history_transfer:import_", "Add an export, a log or polls from a file."),
        "compact": ("exporter.cli.history_care:compact", "Give unused space in the file back to the disk."),
    },
)
