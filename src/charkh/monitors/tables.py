"""The tables of monitors' part of the catalog."""

from sqlalchemy import JSON, Column, Float, LargeBinary, MetaData, String, Table

metadata = MetaData()
collections = Table(
    "monitor_collection",
    metadata,
    Column("id", String, primary_key=True),
    Column("monitor", String, nullable=False, index=True),
    Column("moment", Float, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("actor", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
alerts = Table(
    "monitor_alert",
    metadata,
    Column("id", String, primary_key=True),
    Column("monitor", String, nullable=False, index=True),
    Column("episode", String, nullable=False, index=True),
    Column("condition", String, nullable=False),
    Column("collection", String, nullable=False, index=True),
    Column("moment", Float, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("actor", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
# An episode ends once: of two who say so, the earlier stands.
endings = Table(
    "monitor_alert_end",
    metadata,
    Column("episode", String, primary_key=True),
    Column("moment", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
acknowledgements = Table(
    "monitor_alert_ack",
    metadata,
    Column("episode", String, primary_key=True),
    Column("who", String, nullable=False),
    Column("note", String, nullable=False),
    Column("stamp", String, nullable=False),
)
silences = Table(
    "monitor_silence",
    metadata,
    Column("id", String, primary_key=True),
    Column("monitor", String, nullable=False, index=True),
    Column("body", LargeBinary, nullable=False),
    Column("actor", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
silence_ends = Table(
    "monitor_silence_end",
    metadata,
    Column("id", String, primary_key=True),
)
