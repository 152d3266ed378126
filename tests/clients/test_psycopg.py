"""psycopg 3: DDL, jobs, queries of views, parameters, errors, cancelling."""

import datetime
import decimal
import threading
import uuid

import psycopg

from harness import until

DOOR = "sql"


def connect(server, **options):
    host, port = server.sql.rsplit(":", 1)
    return psycopg.connect(
        host=host, port=port, user="ada", autocommit=True, connect_timeout=10, **options
    )


def name_of(what):
    return f"{what}_{uuid.uuid4().hex[:8]}"


def create_readings(connection):
    """A table over a topic of its own, with three rows of two sensors."""
    table = name_of("readings")
    connection.execute(
        f"CREATE TABLE {table} (sensor STRING, degrees DOUBLE, n BIGINT) WITH ("
        f"'connector' = 'kafka', 'topic' = '{table}', 'format' = 'json')"
    )
    connection.execute(
        f"INSERT INTO {table} VALUES ('a', 20.5, 1), ('b', 30.0, 2), ('a', 21.5, 3)"
    )
    return table


def settled(connection, query, wanted, parameters=None):
    """Asks until the answer is the wanted one: a view follows its job."""

    def answer():
        rows = connection.execute(query, parameters).fetchall()
        if rows == wanted:
            return True
        threading.Event().wait(0.02)
        return False

    until(answer, f"{query} gives {wanted}")


def test_a_view_is_created_and_queried(server):
    with connect(server) as connection:
        table, view = create_readings(connection), name_of("totals")
        connection.execute(
            f"CREATE MATERIALIZED VIEW {view} AS "
            f"SELECT sensor, COUNT(*) AS readings, MAX(degrees) AS hottest "
            f"FROM {table} GROUP BY sensor"
        )
        query = f"SELECT sensor, readings, hottest FROM {view} ORDER BY sensor"
        settled(connection, query, [("a", 2, 21.5), ("b", 1, 30.0)])
        cursor = connection.execute(query)
        assert [column.name for column in cursor.description] == ["sensor", "readings", "hottest"]
        connection.execute(f"INSERT INTO {table} VALUES ('b', 31.0, 4)")
        settled(connection, query, [("a", 2, 21.5), ("b", 2, 31.0)])
        assert connection.execute(query, binary=True).fetchall()[1] == ("b", 2, 31.0)


def test_parameters_are_values_and_not_text(server):
    with connect(server) as connection:
        table, view = create_readings(connection), name_of("rows")
        connection.execute(
            f"CREATE MATERIALIZED VIEW {view} AS SELECT sensor, degrees, n FROM {table}"
        )
        query = f"SELECT n FROM {view} WHERE sensor = %s AND degrees > %s ORDER BY n"
        settled(connection, query, [(1,), (3,)], ("a", 20))
        settled(connection, query, [(3,)], ("a", 21.0))
        assert connection.execute(query, ("a' OR '1'='1", 0)).fetchall() == []
        assert connection.execute(f"SELECT n FROM {view} WHERE n = %s", (2,)).fetchall() == [(2,)]
        for n in range(8):  # beyond psycopg's threshold it prepares the statement
            connection.execute(query, ("b", n)).fetchall()


def test_values_come_as_python_types(server):
    with connect(server) as connection:
        row = connection.execute(
            "SELECT TRUE, CAST(1 AS BIGINT), CAST('1.50' AS DECIMAL(10, 2)), 'x', "
            "DATE '2024-07-03', TIMESTAMP '2024-07-03 12:00:00.5', CAST(NULL AS INT)"
        ).fetchone()
        assert row == (
            True,
            1,
            decimal.Decimal("1.50"),
            "x",
            datetime.date(2024, 7, 3),
            datetime.datetime(2024, 7, 3, 12, 0, 0, 500_000),
            None,
        )


def test_errors_have_codes_and_places(server):
    with connect(server) as connection:
        try:
            connection.execute("SELECT x\nFROM no_such_table")
        except psycopg.errors.UndefinedTable as error:
            assert error.diag.statement_position == "15", error.diag.statement_position
        else:
            raise AssertionError("there is no such table")
        try:
            connection.execute("SELEKT 1")
        except psycopg.errors.SyntaxError as error:
            assert error.diag.message_primary
        else:
            raise AssertionError("that is no SQL")
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_block_fails_as_a_whole_and_can_be_left(server):
    with connect(server) as connection:
        connection.autocommit = False
        connection.execute("SELECT 1")
        try:
            connection.execute("SELECT x FROM no_such_table")
        except psycopg.errors.UndefinedTable:
            pass
        try:
            connection.execute("SELECT 1")
        except psycopg.errors.InFailedSqlTransaction:
            connection.rollback()
        else:
            raise AssertionError("the block had failed")
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_subscription_sends_changes_and_can_be_left(server):
    with connect(server) as connection, connect(server) as writer:
        table, view = create_readings(writer), name_of("followed")
        writer.execute(f"CREATE MATERIALIZED VIEW {view} AS SELECT sensor, n FROM {table}")
        settled(writer, f"SELECT COUNT(*) FROM {view}", [(3,)])
        seen = 0
        for _row in connection.cursor().stream(f"SUBSCRIBE TO {view}"):
            seen += 1
            if seen == 3:
                writer.execute(f"INSERT INTO {table} VALUES ('c', 1.0, 4)")
            if seen == 4:
                break
        assert seen == 4
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_the_catalog_lists_tables(server):
    with connect(server) as connection:
        table = create_readings(connection)
        columns = connection.execute(
            "SELECT column_name, data_type FROM information_schema.columns "
            "WHERE table_name = %s ORDER BY ordinal_position",
            (table,),
        ).fetchall()
        assert columns == [
            ("sensor", "text"),
            ("degrees", "double precision"),
            ("n", "bigint"),
        ], columns
