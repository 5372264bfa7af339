"""dlt: a resource that pages with its own REST client, merged by ID into SQLite by SQLAlchemy.

`python -m benchmarks.sync.programs.dlt_pipeline ORIGIN sqlite FILE`. The cursor is in dlt's own
state, which it loads with the data; `data` stays one column of JSON, as with the others. SQLite has
no upsert strategy in dlt, so a merge is its "delete-insert", by way of a staging dataset.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import dlt
from dlt.destinations import sqlalchemy
from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.helpers.rest_client.auth import BearerTokenAuth
from dlt.sources.helpers.rest_client.paginators import JSONResponseCursorPaginator

from benchmarks.sync.programs.measured import MADE_UP_TOKEN, measured

_PAGE_SIZE: Final = 500


class _FeedPaginator(JSONResponseCursorPaginator):  # type: ignore[misc]  # without types where mypy runs
    """Ends where the feed has no more; its cursor is never empty."""

    def update_state(self, response: Any, data: Any = None) -> None:  # noqa: ANN401 - dlt's own
        """Take the next cursor, and whether there is a next page."""
        super().update_state(response, data)
        if not response.json()["has_more"]:
            self._has_next_page = False


@dlt.resource(  # type: ignore[untyped-decorator]  # the same
    name="records",
    primary_key="id",
    write_disposition="merge",
    columns={"data": {"data_type": "json"}, "updated_at": {"data_type": "text"}},
)
def _read_records(origin: str) -> Iterator[list[Any]]:
    state = dlt.current.resource_state()
    client = RESTClient(
        origin,
        auth=BearerTokenAuth(MADE_UP_TOKEN),
        paginator=_FeedPaginator(cursor_path="next_cursor", cursor_param="cursor"),
        data_selector="items",
    )
    parameters = {"limit": _PAGE_SIZE, "cursor": state.get("cursor", "")}
    for page in client.paginate("/v1/records", params=parameters):
        state["cursor"] = page.response.json()["next_cursor"]
        yield list(page)


def _load(origin: str, file: Path) -> None:
    pipeline = dlt.pipeline(
        pipeline_name="records",
        pipelines_dir=str(file.parent / "pipelines"),
        # The others' tables have one too, and it makes the merge quicker.
        destination=sqlalchemy(credentials=f"sqlite:///{file}", create_primary_keys=True),
        dataset_name="main",
    )
    pipeline.run(_read_records(origin)).raise_on_failed_jobs()


if __name__ == "__main__":
    with measured():
        _load(sys.argv[1], Path(sys.argv[3]))
