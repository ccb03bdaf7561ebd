"""Instants by croniter and python-dateutil, for the tests: neither knows Fettle, and zones are those of the tzdata package.

Reads queries as JSON lines and answers each with a line: {"at": [seconds since 1970]} or {"error": text}. Local times come from the
libraries without any zone; zoneinfo and PEP 495 (fold) say which of them a change of clocks leaves out or repeats.
"""

import json
import sys
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from zoneinfo import ZoneInfo

from croniter import croniter
from dateutil.rrule import rrulestr

EPOCH = datetime(1970, 1, 1)
SECOND = timedelta(seconds=1)
# No clock is further from UTC than 14 hours, and no gap of these years is longer than an hour or two.
MARGIN = timedelta(hours=18)
PERIODS = {
    "SECONDLY": SECOND,
    "MINUTELY": timedelta(minutes=1),
    "HOURLY": timedelta(hours=1),
    "DAILY": timedelta(days=1),
    "WEEKLY": timedelta(days=7),
}


def seconds(moment):
    return (moment - EPOCH) // SECOND


def begin_of(rule, first):
    """1970-01-01, or whole intervals later: the same times from then on, and dateutil need not walk through 50 years of minutes."""
    parts = dict(part.split("=") for part in rule.split(";"))
    period = PERIODS.get(parts["FREQ"])
    if period is None or "COUNT" in parts:
        return EPOCH
    step = period * int(parts.get("INTERVAL", "1"))
    return EPOCH + step * max(0, (first - EPOCH) // step - 1)


@lru_cache(maxsize=4096)
def local_times(kind, expression, first, last):
    if kind == "rrule":
        return rrulestr(expression, dtstart=begin_of(expression, first)).between(first, last, inc=True)
    has_seconds = len(expression.split()) == 6
    iterator = croniter(expression, first - SECOND, second_at_beginning=has_seconds, max_years_between_matches=60)
    found = []
    while True:
        moment = iterator.get_next(datetime)
        if moment > last:
            return found
        found.append(moment)


@lru_cache(maxsize=1)
def both_readings(kind, expression, zone_name, begin, end):
    """Each local time as seconds since 1970 by its first and by its second reading: the questions about a zone differ in policies only."""
    zone = ZoneInfo(zone_name)
    first = EPOCH + timedelta(seconds=begin) - MARGIN
    last = EPOCH + timedelta(seconds=end) + MARGIN
    found = []
    for local in local_times(kind, expression, first, last):
        early = local.replace(tzinfo=zone).utcoffset()
        late = local.replace(tzinfo=zone, fold=1).utcoffset()
        if early == late:
            at = seconds(local - early)
            found.append((at, at))
            continue
        # Only a reading that the clock really shows counts: in the hour after the last change that a file lists, CPython reads some
        # local times by the rule that begins there (America/Godthab, 2023-10-28T23:32, though that clock is not moved that day).
        shown = [at for at in (local - early, local - late) if clock(zone, at) == local]
        both = shown * 2 if len(shown) == 1 else (local - early, local - late)
        found.append((seconds(both[0]), seconds(both[1])))
    return found


def clock(zone, at):
    return at.replace(tzinfo=timezone.utc).astimezone(zone).replace(tzinfo=None, fold=0)


def follows_elapsed_time(kind, expression):
    if kind == "rrule":
        by_clock = any(f"FREQ={one}" in expression for one in ("HOURLY", "MINUTELY", "SECONDLY"))
        return by_clock and "BYHOUR" not in expression
    fields = expression.split()
    return fields[-4].startswith("*")


def instants(query):
    kind, expression = query["kind"], query["expression"]
    gap, overlap = query["gap"], query["overlap"]
    if follows_elapsed_time(kind, expression):
        gap, overlap = "skip", "both"
    found = set()
    for early, late in both_readings(kind, expression, query["zone"], query["from"], query["to"]):
        if early == late:
            found.add(early)
        elif early > late:
            # In a gap, the first reading is by the offset before it: later by the gap's length.
            if gap == "shift":
                found.add(early)
        else:
            if overlap != "last":
                found.add(early)
            if overlap != "first":
                found.add(late)
    return sorted(at for at in found if query["from"] <= at < query["to"])


for line in sys.stdin:
    query = json.loads(line)
    try:
        answer = {"at": instants(query)}
    except Exception as error:  # noqa: BLE001: what a peer refuses is told to the test, which fails on it
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer))
