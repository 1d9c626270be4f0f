"""What every check shares: a query function, and what counts as data."""

import math
from collections.abc import Callable

from lab.prometheus import QueryError, ask
from lab.tree import Json

# Of each series its `metric`, which are its labels, and its `value`.
QueryResult = list[Json]
Query = Callable[[str], QueryResult]


def over_http(url: str) -> Query:
    """A query function for a Prometheus at this URL: from an expression to a list of `metric` and `value`."""

    def query(expression: str) -> QueryResult:
        data = ask(url, "query", query=expression)
        if data["resultType"] == "scalar":
            return [{"metric": {}, "value": float(data["result"][1])}]
        return [{"metric": one["metric"], "value": _value(one)} for one in data["result"]]

    return query


def _value(one: Json) -> float:
    """Of a native histogram, how many samples are in it."""
    return float(one["histogram"][1]["count"] if "histogram" in one else one["value"][1])


def has_data(result: QueryResult) -> bool:
    """A series with a number; NaN is what a quantile of nothing is."""
    return any(math.isfinite(one["value"]) for one in result)


def trouble(query: Query, expression: str) -> str | None:
    """None, or why the expression gives no data."""
    try:
        result = query(expression)
    except QueryError as error:
        return str(error)
    if not result:
        return "no series"
    return None if has_data(result) else "no number"
