#!/usr/bin/env python3
"""Runs the tests with stock Kafka clients against a real server.

    run.py --binary target/release/thalweg --venvs DIR     all sets, each in its own venv
    run.py --binary target/release/thalweg                 the clients of this Python
    run.py --command "PROGRAM 127.0.0.1:0 {data}"          another server

The server prints `ready kafka=HOST:PORT ...`. Prints `N passed, N failed`; exits 1 on a failure,
3 where what a set is for could not run, and says why in a line `NOT RUN`.
"""

import argparse
import importlib
import inspect
import os
import pathlib
import signal
import subprocess
import sys
import time
import traceback
import venv

import harness

HERE = pathlib.Path(__file__).resolve().parent
SERVER = (
    "{binary} server --kafka 127.0.0.1:0 --sql 127.0.0.1:0 --http 127.0.0.1:0 --data-dir {{data}}"
)
# Module of tests, and what must be there for it.
TESTS = [
    ("test_kafka_python", "kafka"),
    ("test_kafka_python_groups", "kafka"),
    ("test_temperature", "kafka"),
    ("test_faults", "kafka"),
    ("test_kafka_python_transactions", "kafka"),
    ("test_confluent", "confluent_kafka"),
    ("test_confluent_groups", "confluent_kafka"),
    ("test_confluent_transactions", "confluent_kafka"),
    ("test_aiokafka", "aiokafka"),
    ("test_aiokafka_transactions", "aiokafka"),
    ("test_kcat", None),
    ("test_psycopg", "psycopg"),
    ("test_java", None),
    ("test_connect", None),
    ("test_flink", None),
    ("test_kafkajs", None),
    ("test_franz_go", None),
]
# Sets that are for one module alone, whose tools may be missing.
SETS = {
    "java": "test_java",
    "flink": "test_flink",
    "kafkajs": "test_kafkajs",
    "franz-go": "test_franz_go",
}
TEST_SECONDS = 90
NOT_RUN = 3


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--binary", help="the thalweg binary")
    options.add_argument("--command", help="command line of a server, with {data} in it")
    options.add_argument("--venvs", type=pathlib.Path, help="where virtual environments are kept")
    options.add_argument("--only", default="", help="run tests whose name contains this")
    chosen = options.parse_args()
    if not chosen.command and not chosen.binary:
        options.error("--binary or --command is needed")
    command = chosen.command or SERVER.format(binary=chosen.binary)
    if chosen.venvs:
        passed, failed, not_run = in_each_venv(chosen, command)
    else:
        passed, failed, not_run = run_here(command, chosen.only)
    print(f"{passed} passed, {failed} failed", flush=True)
    if failed or not (passed or not_run):
        return 1
    return NOT_RUN if not_run else 0


def in_each_venv(chosen, command):
    passed = failed = not_run = 0
    for requirements in sorted(HERE.glob("requirements-*.txt")):
        name = requirements.stem.removeprefix("requirements-")
        python = prepare(chosen.venvs.resolve() / name, requirements)
        arguments = [python, __file__, "--command", command, "--only", chosen.only]
        print(f"== {name}", flush=True)
        environment = os.environ | {"THALWEG_CLIENTS": name}
        ran = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, env=environment)
        *lines, last = ran.stdout.splitlines() or [""]
        print("\n".join(lines), flush=True)
        words = last.split()
        if len(words) == 4 and words[1] == "passed,":
            passed, failed = passed + int(words[0]), failed + int(words[2])
        else:
            print(last, flush=True)
            failed += 1
        not_run += ran.returncode == NOT_RUN
    return passed, failed, not_run


def prepare(directory, requirements):
    """A virtual environment with the requirements; made anew when they change."""
    python = directory / "bin" / "python"
    mark = directory / "requirements.txt"
    wanted = requirements.read_text()
    if not (mark.exists() and mark.read_text() == wanted):
        venv.create(directory, with_pip=True, clear=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", requirements], check=True)
        mark.write_text(wanted)
    return str(python)


def run_here(command, only):
    sys.path.insert(0, str(HERE))
    passed = failed = not_run = 0
    shared = harness.Server(command)
    try:
        shared.start()
        for name, client in TESTS:
            missing = missing_client(client)
            if missing:
                print(f"skip {name}: {missing}", flush=True)
                continue
            module = importlib.import_module(name)
            missing = getattr(module, "missing", lambda: None)()
            if missing:
                wanted = SETS.get(os.environ.get("THALWEG_CLIENTS")) == name
                not_run += wanted
                print(f"{'NOT RUN' if wanted else 'skip'} {name}: {missing}", flush=True)
                continue
            door = getattr(module, "DOOR", "kafka")
            if getattr(shared, door) is None:
                print(f"skip {name}: this server has no {door} door", flush=True)
                continue
            for test in tests_of(module):
                title = f"{name}.{test.__name__}"
                if only not in title:
                    continue
                if run_one(title, test, shared, command):
                    passed += 1
                else:
                    failed += 1
    finally:
        shared.remove()
    return passed, failed, not_run


def missing_client(client):
    if client is None:
        return None
    try:
        importlib.import_module(client)
    except ImportError:
        return f"{client} is not installed here"
    return None


def tests_of(module):
    functions = [value for name, value in vars(module).items() if name.startswith("test_")]
    return sorted(functions, key=lambda test: test.__code__.co_firstlineno)


def run_one(title, test, shared, command):
    """A test that asks for `own_server` gets one that it may kill."""
    own = "own_server" in inspect.signature(test).parameters
    server = harness.Server(command).start() if own else shared
    began = time.monotonic()
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(TEST_SECONDS)
    try:
        test(server)
    except Exception:
        traceback.print_exc(file=sys.stdout)
        print(f"FAIL {title}\nlast lines of the server:\n" + "".join(server.log[-10:]), flush=True)
        return False
    finally:
        signal.alarm(0)
        if own:
            server.remove()
    print(f"ok   {title} {time.monotonic() - began:.1f} s", flush=True)
    return True


def too_long(_signal, _frame):
    raise TimeoutError(f"the test took more than {TEST_SECONDS} s")


if __name__ == "__main__":
    sys.exit(main())
