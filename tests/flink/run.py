#!/usr/bin/env python3
"""Plays the cases beside this file through real Flink, or through a binary of this project.

    run.py --flink-lib DIR --update [CASE...]   writes golden/ anew with the Flink whose jars are in DIR
    run.py --flink-lib DIR [CASE...]            tells where Flink's answer is not the golden one
    run.py --binary thalweg [CASE...]           compares the binary's answers with golden/

CASE is the beginning of a case's name, such as `joins/` or `nexmark/q5`. See README.md.
"""

import argparse
import collections
import hashlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
TABLES = re.compile(r"^-- tables: *(.*)$", re.MULTILINE)
ROW = re.compile(r"^(?:(\S+)> )?([+-])[IUD](\[.*\])$")
PLACE = re.compile(r"--> line (\d+), column (\d+)")
RESULT = re.compile(r"^(SELECT|WITH|VALUES)\b", re.IGNORECASE | re.MULTILINE)
# Processing time gives no answer that two runs agree on; Flink itself cannot run q6.
NOT_COMPARED = {"nexmark/q6", "nexmark/q12"}
OPENS = ["lang", "util", "time", "util.concurrent", "nio"]
RUN_SECONDS = 60
LONG_BYTES = 64 * 1024
SOME_ROWS = 20


def cases(wanted):
    """Names of cases, `area/name`, that begin with one of those wanted; all without one."""
    names = [str(path.relative_to(HERE / "cases").with_suffix(""))
             for path in sorted((HERE / "cases").rglob("*.sql"))]
    queries = sorted((HERE / "nexmark").glob("q*.sql"), key=lambda path: int(path.stem[1:]))
    names += [f"nexmark/{path.stem}" for path in queries]
    names = [name for name in names if name not in NOT_COMPARED]
    return [name for name in names if not wanted or any(name.startswith(w) for w in wanted)]


def expanded(name, data, flink):
    """The script of a case: its tables' DDL on the line that names them, so that lines keep their numbers."""
    if name.startswith("nexmark/"):
        return nexmark(name, data, flink)
    text = (HERE / "cases" / f"{name}.sql").read_text(encoding="utf-8")

    def ddl(match):
        parts = [(HERE / "tables" / f"{table}.sql").read_text() for table in match.group(1).split()]
        return " ".join(" ".join(part.split()) for part in parts)

    return TABLES.sub(ddl, text).replace("${data}", data)


def nexmark(name, data, flink):
    """A query of the benchmark after tables over a file and the benchmark's views.

    The sinks print; Flink gets what it needs to run text that was written for an older one.
    """
    query = name.split("/")[1]
    parts = [(HERE / "nexmark" / f"{part}.sql").read_text(encoding="utf-8")
             for part in ("tables", "views", query)]
    text = "\n".join(parts).replace("${NEXMARK_TABLE}", "datagen")
    text = text.replace("'connector' = 'blackhole'", "'connector' = 'print'")
    text = re.sub(r"PARTITIONED BY \(dt, hm\) WITH \([^)]*\)", "WITH ('connector' = 'print')", text)
    text = re.sub(r"WITH \(\s*'connector.type' = 'filesystem'[^)]*\)",
                  "WITH ('connector' = 'filesystem', 'path' = '${data}/side_input.csv', 'format' = 'csv')", text)
    if flink:
        # A file is no lookup source there; over one that does not change a regular join is the same.
        text = text.replace("FOR SYSTEM_TIME AS OF B.p_time AS S", "AS S")
        text = text.replace("A.dateTime", "A.`dateTime`")
    if query == "q9":
        # Flink plans this Top-1 as insert-only and sends updates without what was before.
        text = "-- key: first\n" + text
    return text.replace("${data}", data)


def golden(name):
    return HERE / "golden" / f"{name}.txt"


def digest(rows):
    return hashlib.sha256("".join(f"{row}\n" for row in sorted(rows)).encode()).hexdigest()


def shortened(answer):
    """An answer in the form in which it is committed: of a long one the digest and some rows."""
    lines = answer.splitlines()
    rows = [line for line in lines if line[0] in "+-"]
    if len(answer.encode()) > LONG_BYTES:
        head = [line for line in lines if line[0] not in "+-"]
        lines = [*head, f"lines: {len(rows)} sha256 {digest(rows)}", *rows[:: len(rows) // SOME_ROWS]]
    return "".join(f"{line}\n" for line in lines)


# --- Flink ---------------------------------------------------------------------------------


def flink(names, lib, runs, update):
    """Plays all cases in one JVM; returns how many did not give an answer or not the golden one."""
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        jars = f"{lib}/*"
        subprocess.run(["javac", "-cp", jars, "-d", work / "classes", HERE / "PlayFlink.java", HERE / "OneCluster.java"],
                       check=True)
        pairs = []
        for number, name in enumerate(names):
            script = work / f"{number}-{name.replace('/', '.')}.sql"
            script.write_text(expanded(name, f"file://{HERE / 'data'}", True), encoding="utf-8")
            pairs += [script, work / f"{number}.txt"]
        command = ["java", *[f"--add-opens=java.base/java.{m}=ALL-UNNAMED" for m in OPENS],
                   "-XX:TieredStopAtLevel=1", "-XX:ReservedCodeCacheSize=256m", "-XX:+UseSerialGC", "-Xmx1g",
                   f"-Dlog4j.configurationFile={HERE / 'log4j.properties'}",
                   "-cp", f"{work / 'classes'}:{jars}", "PlayFlink", str(runs), *pairs]
        bad, seen = 0, 0
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as player:
            for line in player.stdout:
                if not line.startswith(("agreed ", "DISAGREED ")):
                    continue
                name, answer = names[seen], work / f"{seen}.txt"
                seen += 1
                bad += not settled(name, answer, line.strip(), update)
        return bad + len(names) - seen


def settled(name, answer, line, update):
    """Writes or compares one answer; says what it is."""
    if not answer.exists():
        print(f"{name}: {line}", flush=True)
        return False
    text = shortened(answer.read_text(encoding="utf-8"))
    if update:
        golden(name).parent.mkdir(parents=True, exist_ok=True)
        golden(name).write_text(text, encoding="utf-8")
        print(f"{name}: {text.splitlines()[0]}", flush=True)
        return True
    same = golden(name).exists() and golden(name).read_text(encoding="utf-8") == text
    print(f"{name}: {'as golden' if same else 'NOT AS GOLDEN'}", flush=True)
    return same


# --- this project's binary -----------------------------------------------------------------


def check(names, binary, verbose):
    """Compares the binary's answers with the golden ones; returns how many differ."""
    table = collections.defaultdict(collections.Counter)
    for name in names:
        if not golden(name).exists():
            continue
        status, why = compared(name, binary)
        table[name.split("/")[0]][status] += 1
        if status != "passed" and (verbose or status == "differs"):
            print(f"{status:9} {name}: {why}", flush=True)
    columns = ["passed", "marks", "differs", "refused", "elsewhere", "more"]
    print("\n" + "".join(f"{column:>14}" for column in ["area", *columns]))
    for area, counts in [*sorted(table.items()), ("all", sum(table.values(), collections.Counter()))]:
        print(f"{area:>14}" + "".join(f"{counts[column]:>14}" for column in columns))
    return sum(counts["differs"] for counts in table.values())


def compared(name, binary):
    """`passed`; but for `marks` of nullability and time; `differs` from Flink; `refused` here though Flink runs it; refused in both but
    `elsewhere` in the text; or `more`: it runs here though Flink refuses it. And the reason."""
    want = golden(name).read_text(encoding="utf-8").splitlines()
    script = expanded(name, str(HERE / "data"), False)
    code, rows, errors = ran(binary, script)
    reason = next((line for line in errors.splitlines() if line.startswith("error")), errors[:200])
    if want[0].startswith("error: "):
        return refused_too(want[0], code, errors, reason)
    if code == 3:
        return "refused", reason
    if code != 0:
        return "differs", f"exit {code}: {reason}"
    want_rows = sorted(line for line in want if line[0] in "+-")
    have_rows = sorted(f"{count:+d} {row}" for row, count in rows.items() if count)
    whole = [line.split()[-1] for line in want if line.startswith("lines: ")]
    if whole and digest(have_rows) == whole[0]:
        want_rows = have_rows
    elif whole:
        have_rows = [row for row in have_rows if row in want_rows] or ["no such row"]
    if have_rows != want_rows:
        missing, extra = sorted(set(want_rows) - set(have_rows)), sorted(set(have_rows) - set(want_rows))
        names = [line[8:].split(" ")[0] for line in want if line.startswith("column: ")]
        return "differs", (f"{columns_that_differ(names, missing, extra)}{len(missing)} rows missing, such as "
                           f"{missing[:2]}; {len(extra)} too many, such as {extra[:2]}")
    want_types = [line[8:] for line in want if line.startswith("column: ")]
    have_types = described(binary, script) if want_types else []
    wrong = [f"{have} is {want} in Flink" for have, want in zip(have_types, want_types) if have != want]
    if wrong and [bare(name) for name in have_types] == [bare(name) for name in want_types]:
        return "marks", "; ".join(wrong)
    if wrong or len(have_types) != len(want_types):
        return "differs", "type: " + "; ".join(wrong or ["number of columns"])
    return "passed", ""


def columns_that_differ(names, missing, extra):
    """Of rows that agree in their first column: the others that do not, each with an example."""
    here = {row.split(", ")[0]: row[:-1].split(", ") for row in extra}
    found = {}
    for row in missing:
        theirs = row[:-1].split(", ")
        ours = here.get(theirs[0], [])
        if len(theirs) == len(ours) == len(names):
            for name, have, want in zip(names, ours, theirs):
                if have != want:
                    found.setdefault(name, f"{name} is {have} where Flink has {want} in row {theirs[0]}")
    return "".join(f"{text}; " for text in found.values())


def bare(column):
    """A column's name and type without what Flink says of nulls and time attributes."""
    return column.replace(" NOT NULL", "").replace(" *ROWTIME*", "")


def refused_too(want, code, errors, reason):
    if code == 0:
        return "more", f"Flink: {want}"
    at = re.search(r" at (\d+:\d+)$", want)
    here = PLACE.search(errors)
    place = ":".join(here.groups()) if here else "no place"
    if at and at.group(1) != place:
        return "elsewhere", f"{place}, Flink {at.group(1)}: {reason}"
    return "passed", ""


def ran(binary, script):
    """Exit code, consolidated rows and standard error of a script."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql", encoding="utf-8") as file:
        file.write(script)
        file.flush()
        done = subprocess.run([binary, "run", file.name], capture_output=True, text=True, timeout=RUN_SECONDS)
    rows = collections.Counter()
    for line in done.stdout.splitlines():
        match = ROW.match(line)
        if match:
            name, sign, row = match.groups()
            rows[(name + " " if name else "") + row.replace("\\", "\\\\")] += 1 if sign == "+" else -1
    return done.returncode, rows, done.stderr


def described(binary, script):
    """Names and types of the columns of the last query, as DESCRIBE tells them of a view."""
    start = [match.start() for match in RESULT.finditer(script)][-1]
    if script[start - 400:start].rstrip().endswith("END;"):
        return []
    before, query = script[:start], script[start:].rstrip().rstrip(";")
    heads = [match.start() for match in RESULT.finditer(before)]
    if query.upper().startswith("SELECT") and heads and ";" not in before[heads[-1]:]:
        before, query = script[:heads[-1]], script[heads[-1]:].rstrip().rstrip(";")
    _, rows, _ = ran(binary, f"{before}CREATE VIEW described_ AS {query};\nDESCRIBE described_;\n")
    columns = []
    for row in rows:
        name, rest = row[1:-1].split(", ", 1)
        kind, null = re.match(r"(.*), (TRUE|FALSE), ", rest).groups()
        columns.append(f"{name} {kind}" + ("" if null == "TRUE" else " NOT NULL"))
    return columns


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--flink-lib", default=os.environ.get("FLINK_LIB"), help="directory of Flink's jars")
    parser.add_argument("--update", action="store_true", help="write golden/ anew")
    parser.add_argument("--runs", type=int, default=3, help="Flink runs that have to agree")
    parser.add_argument("--binary", help="the thalweg binary to check")
    parser.add_argument("--verbose", action="store_true", help="show what differs")
    parser.add_argument("case", nargs="*")
    args = parser.parse_args()
    names = cases(args.case)
    if args.binary:
        sys.exit(1 if check(names, args.binary, args.verbose) else 0)
    if not args.flink_lib:
        parser.error("give --flink-lib (or FLINK_LIB), or --binary")
    sys.exit(1 if flink(names, args.flink_lib, args.runs, args.update) else 0)


if __name__ == "__main__":
    main()
