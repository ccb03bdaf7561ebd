"""Instants by croniter and python-dateutil, for the tests: neither knows Fettle, and zones are those of the tzdata package.

Reads queries as JSON lines and answers each with a line: {"at": [seconds since 1970]} or {"error": text}. Local times come from the
libraries without any zone; zoneinfo and PEP 495 (fold) say which of them a change of clocks leaves out or repeats.
"""

import json
import sys
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from croniter import croniter
from dateutil.rrule import rrulestr

EPOCH = datetime(1970, 1, 1)
SECOND = timedelta(seconds=1)
MARGIN = timedelta(days=2)


def seconds(moment):
    return (moment - EPOCH) // SECOND


@lru_cache(maxsize=4096)
def local_times(kind, expression, start, first, last):
    if kind == "rrule":
        rule = rrulestr(expression, dtstart=EPOCH + timedelta(seconds=start))
        return rule.between(first, last, inc=True)
    has_seconds = len(expression.split()) == 6
    iterator = croniter(expression, first - SECOND, second_at_beginning=has_seconds, max_years_between_matches=60)
    found = []
    while True:
        moment = iterator.get_next(datetime)
        if moment > last:
            return found
        found.append(moment)


def follows_elapsed_time(kind, expression):
    if kind == "rrule":
        by_clock = any(f"FREQ={one}" in expression for one in ("HOURLY", "MINUTELY", "SECONDLY"))
        return by_clock and "BYHOUR" not in expression
    fields = expression.split()
    return fields[-4].startswith("*")


def instants(query):
    zone = ZoneInfo(query["zone"])
    kind, expression = query["kind"], query["expression"]
    gap, overlap = query["gap"], query["overlap"]
    if follows_elapsed_time(kind, expression):
        gap, overlap = "skip", "both"
    first = EPOCH + timedelta(seconds=query["from"]) - MARGIN
    last = EPOCH + timedelta(seconds=query["to"]) + MARGIN
    found = set()
    for local in local_times(kind, expression, query.get("start", 0), first, last):
        early = local.replace(tzinfo=zone).utcoffset()
        late = local.replace(tzinfo=zone, fold=1).utcoffset()
        if early == late:
            found.add(seconds(local - early))
        elif early < late:
            if gap == "shift":
                found.add(seconds(local - early))
        else:
            if overlap != "last":
                found.add(seconds(local - early))
            if overlap != "first":
                found.add(seconds(local - late))
    return sorted(at for at in found if query["from"] <= at < query["to"])


for line in sys.stdin:
    query = json.loads(line)
    try:
        answer = {"at": instants(query)}
    except Exception as error:  # noqa: BLE001: what a peer refuses is told to the test, which fails on it
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer))
