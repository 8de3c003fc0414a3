"""Tables and their rows, and a key that is bound, for the golden log."""

from crewship.eventlog import Change
from domain import access, name, row, table
from domain.column import Column


def tables() -> list[Change]:
    """A table whose columns change, once are refused, and its rows; a table that is deleted; a bound key."""
    columns = [Column(id="c1", name="title", type="text", required=True), Column(id="c2", name="price", type="number")]
    fewer = [Column(id="c1", name="title", type="json")]
    decisions: list[table.TableEvent] = [
        table.TableCreated(
            table_id="tbl_1", name="leads", columns=columns, description="From the web", deployment_id="dep_1"
        ),
        table.TableDescribed(table_id="tbl_1", name="leads"),
        table.ChangeRequested(table_id="tbl_1", columns=fewer),
        table.ChangeRefused(
            table_id="tbl_1", misfits=[table.Misfit(row_id="row_1", column="title", message="expected text")]
        ),
        table.ChangeRequested(table_id="tbl_1", columns=fewer),
        table.TableChanged(table_id="tbl_1", columns=fewer),
    ]
    gone = table.TableDeleted(table_id="tbl_2", name="old")
    bound = access.KeyCreated(
        key_id="key_2", name="team", scopes=["run"], secret_sha256="ef" * 32, deployment_ids=["dep_1"]
    )
    return [
        Change("name:table/leads", 0, [name.TableNameClaimed(name="leads", table_id="tbl_1")]),
        Change("tbl_1", 0, decisions),
        Change("tbl_1:row_1", 0, _row("row_1")),
        Change("tbl_1:row_2", 0, [*_row("row_2"), row.RowDeleted(table_id="tbl_1", row_id="row_2")]),
        Change(
            "rows-idem:ab",
            0,
            [name.RowsRemembered(fingerprint="ab" * 32, table_id="tbl_1", row_ids=["row_1", "row_2"])],
        ),
        Change("tbl_2", 0, [table.TableCreated(table_id="tbl_2", name="old", columns=columns), gone]),
        Change("key_2", 0, [bound]),
    ]


def _row(row_id: str) -> list[row.RowEvent]:
    return [
        row.RowInserted(table_id="tbl_1", row_id=row_id, values={"c1": "Acme", "c2": 9.5}),
        row.RowUpdated(table_id="tbl_1", row_id=row_id, values={"c1": {"ü": [1, None]}}),
    ]
