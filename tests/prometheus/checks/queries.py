"""What every check shares: a query function, and what counts as data."""

import json
import math
import urllib.error
import urllib.parse
import urllib.request

SECONDS = 20


class QueryError(Exception):
    """Prometheus does not understand the expression, or cannot evaluate it."""


def over_http(url):
    """A query function for a Prometheus at this URL: from an expression to a list of `metric` and `value`."""

    def query(expression):
        body = urllib.parse.urlencode({"query": expression}).encode()
        try:
            with urllib.request.urlopen(f"{url}/api/v1/query", body, timeout=SECONDS) as response:
                data = json.load(response)["data"]
        except urllib.error.HTTPError as error:
            raise QueryError(f"{error.code}: {error.read().decode()}") from error
        if data["resultType"] == "scalar":
            return [{"metric": {}, "value": float(data["result"][1])}]
        return [{"metric": one["metric"], "value": float(one["value"][1])} for one in data["result"]]

    return query


def has_data(result):
    """A series with a number; NaN is what a quantile of nothing is."""
    return any(math.isfinite(one["value"]) for one in result)


def trouble(query, expression):
    """None, or why the expression gives no data."""
    try:
        result = query(expression)
    except QueryError as error:
        return str(error)
    if not result:
        return "no series"
    return None if has_data(result) else "no number"
