"""Leadership among the processes of a team, on any machine: whose session holds an advisory lock of the database."""

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import DBAPIError

from charkh.stores.postgres_tables import lock_key, translated


class PostgresLeadership:
    """`charkh.ports.leadership.Leadership` by an advisory lock; the database gives it back when the session ends.

    Args:
        engine: of the journal.
        schema: of the journal's tables.
        name: of the work that is led.
    """

    def __init__(self, engine: Engine, schema: str, name: str) -> None:
        self._engine = engine
        self._key = lock_key(schema, f"leadership {name}")
        self._connection: Connection | None = None

    def leads(self) -> bool:
        """See `charkh.ports.leadership.Leadership`.

        Raises:
            Unavailable: the database cannot be reached.
        """
        with translated():
            if self._connection is not None:
                try:
                    # A session that the database has ended holds no lock any more.
                    self._connection.execute(select(1))
                    self._connection.commit()
                except DBAPIError:
                    self._lose()
                else:
                    return True
            connection = self._engine.connect()
            try:
                held = bool(connection.execute(select(func.pg_try_advisory_lock(self._key))).scalar_one())
                connection.commit()
            except BaseException:
                connection.invalidate()
                connection.close()
                raise
        if not held:
            connection.close()
            return False
        self._connection = connection
        return True

    def close(self) -> None:
        """See `charkh.ports.leadership.Leadership`."""
        if self._connection is not None:
            self._lose()

    def _lose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            # The session itself ends: a connection that went back to the pool would keep the lock.
            connection.invalidate()
            connection.close()
