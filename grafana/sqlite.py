"""Queries of the data source plugin frser-sqlite-datasource: the SDK has none."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import dashboard

PLUGIN: Final = "frser-sqlite-datasource"
SOURCE: Final = dashboard.DataSourceRef(type_val=PLUGIN, uid="${datasource}")


@dataclass(frozen=True, slots=True)
class SqliteQuery(Dataquery, Builder[Dataquery]):
    """A query as the plugin stores it. `times`: the columns that Grafana is to take for times: seconds since 1970."""

    text: str
    times: tuple[str, ...] = ()
    kind: str = "table"

    def build(self) -> Dataquery:
        """Itself: there is nothing to choose."""
        return self

    def to_json(self) -> Mapping[str, object]:
        """The plugin's editor shows `rawQueryText`; Grafana fills in the variables and sends that as `queryText`."""
        return {
            "refId": "A",
            "datasource": SOURCE,
            "rawQueryText": self.text,
            "queryText": self.text,
            "queryType": self.kind,
            "timeColumns": list(self.times),
        }


def is_chosen(column: str, variable: str) -> str:
    """SQL: whether the value in `column` is among those chosen for `variable`, which may be "All".

    Grafana's `sqlstring` pairs single quotes, as SQL wants it. Newer versions also write a backslash before each double
    quote, which SQLite takes for part of the value.
    """
    chosen = f"(${{{variable}:sqlstring}})"
    return f"""({column} IN {chosen} OR replace({column}, '"', '\\"') IN {chosen})"""
