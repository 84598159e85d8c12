"""The outbox as SQLAlchemy metadata: what a writer writes, and what the server alone gives."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    FetchedValue,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import UserDefinedType

from coordinator import outbox_schema

metadata = MetaData(schema=outbox_schema.DEFAULT)


class Xid8(UserDefinedType[str]):
    """A transaction id. As text: a driver's small int has no cast to xid8."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """Return the type's name in SQL."""
        return "XID8"


# FetchedValue: position and txid are the server's. A writer who could set them could hide an event
# from the relay.
outbox_event = Table(
    "event",
    metadata,
    Column("position", BigInteger, FetchedValue(), nullable=False),
    Column("txid", Xid8, FetchedValue(), nullable=False),
    Column("id", Uuid, nullable=False),
    Column("topic", Text, nullable=False),
    Column("key", Text),
    Column("type", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("payload", LargeBinary),
    Column("headers", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), FetchedValue(), nullable=False),
)
