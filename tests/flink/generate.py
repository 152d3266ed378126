#!/usr/bin/env python3
"""Writes the small input files of the Flink cases, the same ones at every call.

Each file has its own seed, so that adding one changes no other. The time of rows moves in
steps of whole seconds: larger than Flink's interval between watermarks, so that which rows
are late does not depend on a timer.
"""

import datetime
import json
import pathlib
import random

DATA = pathlib.Path(__file__).parent / "data"
START = datetime.datetime(2024, 3, 1, 10, 0, 0)


def at(seconds, millis=0):
    moment = START + datetime.timedelta(seconds=seconds, milliseconds=millis)
    return moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{moment.microsecond // 1000:03d}"


def write(name, rows):
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (DATA / name).write_text(text, encoding="utf-8")


def skewed(rnd, names):
    """The first name has about half of all rows, the next half of what is left, and so on."""
    return names[min(int(rnd.expovariate(0.7)), len(names) - 1)]


def maybe(rnd, share, value):
    return None if rnd.random() < share else value


def events():
    """Out of order by up to four seconds, with late rows, duplicates and nulls."""
    rnd, rows, now = random.Random(1), [], 0
    for number in range(220):
        now += rnd.choice([0, 1, 1, 1, 2, 3, 7])
        back = rnd.choice([0, 0, 0, 1, 2, 4])
        if rnd.random() < 0.05:
            back = rnd.randint(20, 150)
        row = {
            "id": number,
            "k": maybe(rnd, 0.05, skewed(rnd, ["a", "b", "c", "d", "e", "f"])),
            "v": maybe(rnd, 0.08, rnd.randint(-20, 100)),
            "w": maybe(rnd, 0.08, rnd.randint(-400, 400) / 8),
            "d": maybe(rnd, 0.08, rnd.randint(-9999, 99999) / 100),
            "ok": maybe(rnd, 0.1, rnd.random() < 0.6),
            "ts": at(max(now - back, 0)),
        }
        rows.append(row)
        if rnd.random() < 0.05:
            rows.append(dict(row))
    write("events.json", rows)


def clicks():
    """In order and each at a time of its own; some users are quiet for long."""
    rnd, rows, now = random.Random(2), [], 0
    for number in range(160):
        now += rnd.choice([1, 1, 2, 3, 5, 40])
        rows.append({
            "id": number,
            "who": skewed(rnd, ["ann", "bob", "cyd", "dan"]),
            "page": rnd.choice(["/", "/a", "/b", "/a/1", None]),
            "ms": rnd.randint(1, 500),
            "ts": at(now),
        })
    write("clicks.json", rows)


def shop():
    """Orders, what was paid for them and who ordered, with keys that meet nothing and nulls."""
    rnd, orders, payments, now = random.Random(3), [], [], 0
    for number in range(120):
        now += rnd.choice([1, 2, 4, 6])
        orders.append({
            "order_id": maybe(rnd, 0.03, number),
            "customer": maybe(rnd, 0.05, rnd.choice([1, 1, 1, 2, 2, 3, 4, 5, 99])),
            "currency": rnd.choice(["EUR", "EUR", "USD", "JPY", "CHF"]),
            "amount": rnd.randint(100, 99999) / 100,
            "ts": at(now),
        })
        for _ in range(rnd.choice([0, 1, 1, 2])):
            payments.append((now + rnd.choice([1, 3, 8, 15, 30, 90]), {
                "pay_id": len(payments),
                "order_id": maybe(rnd, 0.05, number if rnd.random() < 0.9 else number + 500),
                "paid": rnd.randint(100, 50000) / 100,
            }))
    write("orders.json", orders)
    payments.sort(key=lambda pair: (pair[0], pair[1]["pay_id"]))
    write("payments.json", [{**row, "ts": at(moment)} for moment, row in payments])
    names = ["Ann", "Bob", "Cyd", "Dan", "Eve", "Fay", None]
    people = [{"id": i + 1, "name": name, "city": rnd.choice(["Oslo", "Rome", None]),
               "since": f"2020-0{i + 1}-15"} for i, name in enumerate(names)]
    people.insert(3, dict(people[1]))
    people.append({"id": None, "name": "Nobody", "city": "Rome", "since": None})
    write("customers.json", people)


def rates():
    """Currency rates as they change, in order."""
    rnd, rows, now = random.Random(4), [], 0
    for currency, rate in [("EUR", 1.0), ("USD", 0.9), ("JPY", 0.006)]:
        rows.append({"currency": currency, "rate": rate, "ts": at(now)})
        now += 1
    for _ in range(40):
        now += rnd.choice([3, 9, 17])
        rows.append({"currency": rnd.choice(["EUR", "USD", "JPY"]),
                     "rate": rnd.randint(1, 20000) / 10000, "ts": at(now)})
    write("rates.json", rows)


def accounts():
    """A Debezium log: inserts, updates and deletes of a table with a primary key."""
    rnd, rows, table = random.Random(5), [], {}
    for number in range(180):
        choice = rnd.random()
        if choice < 0.4 or not table:
            key = number
            table[key] = {"id": key, "owner": rnd.choice(["ann", "bob", "cyd", None]),
                          "balance": maybe(rnd, 0.08, rnd.randint(-50, 200)),
                          "region": rnd.choice(["n", "n", "n", "s", "w"])}
            rows.append({"before": None, "after": table[key], "op": "c"})
        elif choice < 0.8:
            key = rnd.choice(sorted(table))
            before = table[key]
            after = {**before, "balance": maybe(rnd, 0.08, rnd.randint(-50, 200))}
            if rnd.random() < 0.2:
                after["region"] = rnd.choice(["n", "s", "w"])
            table[key] = after
            rows.append({"before": before, "after": after, "op": "u"})
        else:
            key = rnd.choice(sorted(table))
            rows.append({"before": table.pop(key), "after": None, "op": "d"})
    write("accounts.json", rows)


def ticks():
    """Prices of two symbols at whole seconds, rising and falling; for patterns."""
    rnd, rows, now = random.Random(6), [], 0
    price = {"ACME": 20, "BETA": 50}
    for _ in range(150):
        now += rnd.choice([1, 1, 2, 6])
        symbol = rnd.choice(["ACME", "ACME", "BETA"])
        price[symbol] = max(1, price[symbol] + rnd.randint(-4, 4))
        rows.append({"symbol": symbol, "price": price[symbol],
                     "volume": rnd.randint(1, 9), "ts": at(now)})
    write("ticks.json", rows)


def nested():
    """Arrays, maps and rows: whole, empty and null."""
    rnd, rows = random.Random(7), []
    for number in range(30):
        tags = [rnd.choice(["red", "green", "blue"]) for _ in range(rnd.randint(0, 3))]
        rows.append({
            "id": number,
            "tags": maybe(rnd, 0.1, tags),
            "nums": maybe(rnd, 0.1, [maybe(rnd, 0.1, rnd.randint(0, 9))
                                     for _ in range(rnd.randint(0, 4))]),
            "attrs": maybe(rnd, 0.1, {"size": rnd.randint(1, 9)}),
            "r": maybe(rnd, 0.1, {"a": maybe(rnd, 0.2, rnd.randint(0, 9)), "b": f"b{number}"}),
            "items": [{"sku": rnd.choice(["x", "y", "z"]), "qty": rnd.randint(1, 5)}
                      for _ in range(rnd.randint(0, 3))],
        })
    write("nested.json", rows)


def texts():
    """Strings that scalar functions find hard, numbers near the limits, JSON in strings."""
    values = ["", " ", "a", "Abc", "  pad  ", "a,b,c", "foo.bar.baz", "Straße", "日本語", "x" * 20,
              "12", "-7", "3.5", "1e3", "true", "2024-02-29", "2024-02-29 23:59:58.123", None,
              "http://host:8080/p/a/t?k=v&q=2#frag", '{"a": {"b": [1, 2, {"c": "d"}]}, "n": null}',
              "[1,2,3]", "k1=v1,k2=v2", "AAbbCC", "tab\there"]
    numbers = [0, 1, -1, 7, -7, 2147483647, -2147483648, 100, None]
    rows = [{"id": i, "s": value, "n": numbers[i % len(numbers)],
             "x": None if i % 7 == 6 else (i - 11) * 0.375,
             "p": None if i % 8 == 7 else round((i - 10) * 12.345, 3)}
            for i, value in enumerate(values)]
    write("texts.json", rows)


def moments():
    """Dates and times: leap days, ends of years, before 1970, null."""
    times = ["1969-12-31 23:59:59.999", "1970-01-01 00:00:00.000", "2000-02-29 12:30:45.678",
             "2023-12-31 23:59:59.500", "2024-01-01 00:00:00.000", "2024-02-29 06:07:08.009",
             "2024-03-31 01:30:00.000", "2024-10-27 01:30:00.000", "2038-01-19 03:14:07.000", None]
    rows = []
    for number, moment in enumerate(times):
        rows.append({"id": number, "t": moment,
                     "z": None if moment is None else moment + "Z",
                     "d": None if moment is None else moment[:10],
                     "h": None if moment is None else moment[11:19],
                     "e": number * 86399})
    write("moments.json", rows)


def numbers():
    """One column of each numeric type, with its limits."""
    rows = [
        {"id": 0, "t": 127, "s": 32767, "i": 2147483647, "b": 9223372036854775807,
         "f": 1.5, "x": 1.0e10, "d": 12345678.91, "e": 0.00001, "w": 99999999999999999999.5},
        {"id": 1, "t": -128, "s": -32768, "i": -2147483648, "b": -9223372036854775808,
         "f": -0.1, "x": -2.5e-3, "d": -0.01, "e": -1.23456, "w": -1.5},
        {"id": 2, "t": 0, "s": 0, "i": 0, "b": 0, "f": 0.0, "x": 0.0, "d": 0, "e": 0, "w": 0},
        {"id": 3, "t": 7, "s": -7, "i": 7, "b": -7, "f": 3.25, "x": 0.1, "d": 2.5, "e": 0.5, "w": 2},
        {"id": 4, "t": 2, "s": 3, "i": 4, "b": 5, "f": 6.0, "x": 7.0, "d": 8.25, "e": 1.12345, "w": 3},
        {"id": 5, "t": None, "s": None, "i": None, "b": None, "f": None, "x": None, "d": None,
         "e": None, "w": None},
    ]
    write("numbers.json", rows)


def main():
    DATA.mkdir(exist_ok=True)
    for make in (events, clicks, shop, rates, accounts, ticks, nested, texts, moments, numbers):
        make()
    (DATA / "empty.json").write_text("")
    (DATA / "cities.csv").write_text(
        'Oslo;"No; rway";709037\nRome;Italy;2873000\n"Ville ""X""";;1\nLima;Peru;\n')


if __name__ == "__main__":
    main()
