"""When schedules tick, against two oracles: cronsim, and a walk over every minute around the changes of a zone.

cronsim steps from where it stands by hours and minutes that pass. In front of a change that leaves out midnight (São
Paulo), or moves the clocks by half an hour (Lord Howe), that makes it step over ticks, or name a time that no clock
shows; which, depends on where it came from. For expressions that follow the time that passes, and only from such a
change on, the walk alone says what is right.

The examples are the same in every run (derandomize): 150 against cronsim and 40 against the walk, 2,500 and 500 in the
slow form.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim, CronSimError
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from tests.sql.calls import Caller
from tests.sql.support import refused, shared_database
from tests.support.cluster import Server

ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC", "America/Sao_Paulo"]
UNEVEN = {"Australia/Lord_Howe", "America/Sao_Paulo"}
FIRST, LAST = datetime(1997, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
MONTHS = ["jan", "feb", "MAR", "apr", "May", "jun", "jul", "aug", "sep", "OCT", "nov", "dec"]
WEEKDAYS = ["sun", "Mon", "tue", "wed", "thu", "FRI", "sat"]
TICKS = 6


@pytest.fixture(scope="module")
def q(server: Server) -> Iterator[Caller]:
    with shared_database(server) as q:
        yield q


def next_runs(q: Caller, cron: str, zone: str, after: datetime, n: int = TICKS) -> list[datetime]:
    rows = q.sql("select pgqueue.next_runs(%s, %s, %s, %s)", cron, zone, n, after)
    return [tick.astimezone(UTC) for (tick,) in rows]


@cache
def changes(zone: str) -> list[datetime]:
    """When the clocks of the zone change: the first minute of each new offset."""
    place, found = ZoneInfo(zone), []
    day = FIRST - 2 * DAY
    while day < LAST + 2 * DAY:
        low, high = day, day + DAY
        if low.astimezone(place).utcoffset() != high.astimezone(place).utcoffset():
            while high - low > MINUTE:
                middle = low + (high - low) // MINUTE // 2 * MINUTE
                if middle.astimezone(place).utcoffset() == low.astimezone(place).utcoffset():
                    low = middle
                else:
                    high = middle
            found.append(high)
        day += DAY
    return found


def follows_time(cron: str) -> bool:
    return any(field.startswith("*") for field in cron.split()[:2])


def by_cronsim(cron: str, zone: str, after: datetime, n: int = TICKS) -> list[datetime]:
    """Its first ticks that are later: from the second pass of an hour, it begins in the first."""
    found: list[datetime] = []
    for tick in CronSim(cron, after.astimezone(ZoneInfo(zone))):
        if tick.astimezone(UTC) > after:
            found.append(tick.astimezone(UTC))
        if len(found) == n:
            break
    return found


def by_walking(cron: str, zone: str, after: datetime, until: datetime) -> list[datetime]:
    """Every minute at which the clock on the wall shows what the expression names."""
    names = CronSim(cron, after)
    found = []
    moment = after.replace(second=0, microsecond=0) + MINUTE
    while moment <= until:
        wall = moment.astimezone(ZoneInfo(zone))
        if (
            wall.minute in names.minutes
            and wall.hour in names.hours
            and wall.month in names.months
            and names.match_day(wall.date())
        ):
            found.append(moment)
        moment += MINUTE
    return found


# Expressions


def field(low: int, high: int, names: list[str] | None = None) -> st.SearchStrategy[str]:
    numbers = st.integers(low, high)
    word = numbers.map(str)
    if names is not None:
        word |= st.sampled_from(names)
    span = st.tuples(numbers, numbers).filter(lambda ends: ends[0] < ends[1]).map(lambda ends: f"{ends[0]}-{ends[1]}")
    step = st.integers(1, high)
    term = word | span | st.builds("{}/{}".format, span | word, step)
    stars = st.just("*") | st.builds("*/{}".format, step)
    return stars | term | st.lists(term, min_size=2, max_size=4).map(",".join)


CRONS = st.tuples(
    field(0, 59), field(0, 23), st.just("*") | field(1, 31), st.just("*") | field(1, 12, MONTHS), field(0, 7, WEEKDAYS)
).map(" ".join)
# What is likely to be hit by a change of clocks.
NIGHTLY = st.tuples(
    field(0, 59), field(0, 3), st.just("*") | field(1, 31), st.just("*"), st.just("*") | field(0, 7, WEEKDAYS)
).map(" ".join)


@st.composite
def asked(draw: st.DrawFn) -> tuple[str, str, datetime]:
    """An expression, a zone, and a time: any, or one around a change of its clocks."""
    zone = draw(st.sampled_from(ZONES))
    after = FIRST + timedelta(seconds=draw(st.integers(0, int((LAST - FIRST).total_seconds()))))
    if changes(zone) and draw(st.booleans()):
        after = draw(st.sampled_from(changes(zone))) + timedelta(seconds=draw(st.integers(-100_000, 10_000)))
    return draw(CRONS | NIGHTLY), zone, after


def check_against_cronsim(q: Caller, cron: str, zone: str, after: datetime) -> None:
    try:
        wanted = by_cronsim(cron, zone, after)
    except CronSimError:
        wanted = []
    found = next_runs(q, cron, zone, after)
    if zone in UNEVEN and follows_time(cron):
        uneven = min((change for change in changes(zone) if change > after - DAY), default=LAST + 99 * 366 * DAY)
        wanted = [tick for tick in wanted if tick < uneven]
        found = [tick for tick in found if tick < uneven]
    assert found == wanted, (cron, zone, after)


def check_around_a_change(q: Caller, cron: str, zone: str, change: datetime) -> None:
    since, until = change - 5 * HOUR, change + 5 * HOUR
    wanted = by_walking(cron, zone, since, until)
    found = next_runs(q, cron, zone, since, len(wanted) + 1)
    assert [tick for tick in found if tick <= until] == wanted, (cron, zone, change)


anything = settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)
a_lot = settings(anything, max_examples=2500)
change_of_clocks = st.sampled_from([zone for zone in ZONES if zone != "UTC"]).flatmap(
    lambda zone: st.tuples(st.just(zone), st.sampled_from(changes(zone)))
)
elapsing = NIGHTLY.filter(follows_time)


@anything
@given(asked())
@example(("30 2 * * *", "Europe/Berlin", datetime(2024, 3, 30, 12, tzinfo=UTC)))
@example(("30 2 * * *", "Europe/Berlin", datetime(2024, 10, 27, 0, 40, tzinfo=UTC)))
@example(("0 0 29 2 */7", "UTC", datetime(2004, 3, 1, tzinfo=UTC)))
@example(("0 0 30 2 *", "UTC", datetime(2004, 3, 1, tzinfo=UTC)))
@example(("0 0 * * *", "America/Sao_Paulo", datetime(2017, 10, 14, 12, tzinfo=UTC)))
def test_ticks_are_those_of_cronsim(q: Caller, asked: tuple[str, str, datetime]) -> None:
    check_against_cronsim(q, *asked)


@pytest.mark.slow
@pytest.mark.timeout(900)
@a_lot
@given(asked())
def test_ticks_are_those_of_cronsim_in_thousands(q: Caller, asked: tuple[str, str, datetime]) -> None:
    check_against_cronsim(q, *asked)


@settings(anything, max_examples=40)
@given(elapsing, change_of_clocks)
@example("*/10 3 * * *", ("Australia/Lord_Howe", datetime(2023, 9, 30, 15, 30, tzinfo=UTC)))
@example("*/20 1 15 10 *", ("America/Sao_Paulo", datetime(2017, 10, 15, 3, 0, tzinfo=UTC)))
def test_with_a_star_every_minute_on_the_wall_counts(q: Caller, cron: str, change: tuple[str, datetime]) -> None:
    check_around_a_change(q, cron, *change)


@pytest.mark.slow
@pytest.mark.timeout(900)
@settings(a_lot, max_examples=500)
@given(elapsing, change_of_clocks)
def test_with_a_star_every_minute_on_the_wall_counts_often(q: Caller, cron: str, change: tuple[str, datetime]) -> None:
    check_around_a_change(q, cron, *change)


# The rest by hand: what cronsim does not know


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "after", "cron", "wanted"),
    [
        # a whole day that never was
        (
            "Pacific/Apia",
            "2011-12-29 12:00",
            "30 8 * * *",
            ["2011-12-29 18:30", "2011-12-30 10:00", "2011-12-30 18:30"],
        ),
        # clocks that went from one past midnight back to eleven
        ("America/St_Johns", "2010-11-07 02:00", "*/40 23 * * *", ["2010-11-07 02:10", "2010-11-07 03:10"]),
        ("America/St_Johns", "2010-11-07 02:00", "0 0 * * *", ["2010-11-07 02:30", "2010-11-08 03:30"]),
        ("Asia/Kathmandu", "2024-01-01 00:00", "0 12 * * sat-SUN", ["2024-01-06 06:15", "2024-01-07 06:15"]),
    ],
)
def test_odd_clocks(q: Caller, zone: str, after: str, cron: str, wanted: list[str]) -> None:
    assert next_runs(q, cron, zone, at(after), len(wanted)) == [at(text) for text in wanted]


@pytest.mark.parametrize(
    ("word", "cron"),
    [
        ("@hourly", "0 * * * *"),
        ("@Daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@ANNUALLY", "0 0 1 1 *"),
        ("  0\t0  1 1  7 ", "0 0 1 1 0"),
        ("0 0 * * fri-sun", "0 0 * * 0,5,6"),
        ("0 0 * JAN-mar,Dec */2", "0 0 * 1-3,12 0,2,4,6"),
    ],
)
def test_words_are_fields(q: Caller, word: str, cron: str) -> None:
    after = at("2024-02-29 23:59:59")
    assert next_runs(q, word, "Europe/Berlin", after) == next_runs(q, cron, "Europe/Berlin", after)


@pytest.mark.parametrize(
    ("cron", "wanted"),
    [
        ("every 90 minutes", ["2024-01-01 01:30", "2024-01-01 03:00"]),
        ("EVERY hour", ["2024-01-01 01:00", "2024-01-01 02:00"]),
        ("every 1.5 seconds", ["2024-01-01 00:00:01.500000", "2024-01-01 00:00:03"]),
        ("every 7 days", ["2024-01-04 00:00", "2024-01-11 00:00"]),
        ("every PT45S", ["2024-01-01 00:00:45", "2024-01-01 00:01:30"]),
    ],
)
def test_intervals_count_from_1970_whatever_the_zone(q: Caller, cron: str, wanted: list[str]) -> None:
    for zone in ("UTC", "Asia/Kathmandu"):
        assert next_runs(q, cron, zone, at("2024-01-01 00:00"), 2) == [at(text) for text in wanted]


def test_a_tick_is_later_than_what_is_asked(q: Caller) -> None:
    for cron in ("*/5 * * * *", "0,5 12 * * *", "every 5 minutes"):
        assert next_runs(q, cron, "UTC", at("2024-01-01 11:59:59.999999"), 2) == [
            at("2024-01-01 12:00"),
            at("2024-01-01 12:05"),
        ]
        assert next_runs(q, cron, "UTC", at("2024-01-01 12:00"), 1) == [at("2024-01-01 12:05")]


def test_rare_days_are_found_without_a_walk_over_all_minutes(q: Caller) -> None:
    for cron in ("0 0 29 2 */7", "59 23 31 12 *", "* * 30 2 *"):
        (plan,) = q.sql(f"explain (analyze, format json) select pgqueue.next_runs('{cron}', n => 1)")
        assert plan[0][0]["Execution Time"] < 500


BAD = [
    *(("", "cron empty"), ("* * * *", "4 fields"), ("* * * * * *", "6 fields"), ("0 0 * * * x", "6 fields")),
    *(("60 * * * *", "minute 60"), ("* 24 * * *", "hour 24"), ("* * 0 * *", "day of the month 0")),
    *(("* * 32 * *", "day of the month 32"), ("* * * 13 *", "month 13"), ("* * * foo *", "month FOO")),
    *(("* * * * 8", "day of the week 8"), ("* * * * L", "day of the week L"), ("* * * * mon#1", "day of the week")),
    *(("5-1 * * * *", "minute backwards"), ("*/0 * * * *", "step minute 0"), ("1,,2 * * * *", "minute ''")),
    *(("-1 * * * *", "minute"), ("1- * * * *", "minute"), ("1-2-3 * * * *", "minute"), ("1/ * * * *", "minute")),
    *(
        ("1.5 * * * *", "minute"),
        ("jan * * * *", "minute JAN"),
        ("9999999999 * * * *", "minute"),
        ("* 1,2, * * *", "hour"),
    ),
    *(
        ("@reboot", "@reboot"),
        ("@", "@"),
        ("every", "fields"),
        ("every x", "interval"),
        ("every 0 seconds", "interval"),
    ),
    *(("every -1 hour", "interval"), ("every 1 month", "interval"), ("every 999 ms", "interval")),
    *(("every 3000000 hours", "interval"), ("every infinity", "interval"), ("0 0\n* * *", "control")),
    ("0 " * 600, "characters"),
]


@pytest.mark.parametrize(("cron", "words"), BAD)
def test_what_is_no_expression_is_refused(q: Caller, cron: str, words: str) -> None:
    with refused(q, "PQ001", *words.split()):
        next_runs(q, cron, "UTC", FIRST)
    with refused(q, "PQ001", *words.split()):
        q("schedule", name="s", cron=cron, kind="k")


@pytest.mark.parametrize(
    "zone", ["", "Mars/Olympus", "UTC+2", "CEST", "+02:00", "Europe/Berlin'", "../etc/passwd", None]
)
def test_a_zone_is_a_name_of_the_list(q: Caller, zone: str | None) -> None:
    with refused(q, "PQ001", "time_zone"):
        q.sql("select pgqueue.next_runs('@daily', %s)", zone)


@pytest.mark.parametrize("zone", ["Etc/GMT+2", "america/port-au-prince", "Japan", "GMT"])
def test_any_name_of_the_list_is_one(q: Caller, zone: str) -> None:
    assert len(next_runs(q, "@daily", zone, FIRST, 2)) == 2


@pytest.mark.parametrize("n", ["0", "-1", "1001", "null"])
def test_how_many_ticks_is_bounded(q: Caller, n: str) -> None:
    with refused(q, "PQ001", "n", n):
        q.sql(f"select pgqueue.next_runs('@daily', n => {n})")
