"""franz-go: the tests of go/*_test.go against the server, each in a process of its own.

Go fetches the modules of go/go.sum and builds one program of them in the virtual
environment of the set `franz-go`; `THALWEG_GO_TESTS` names one that is built already.
"""

import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent / "go"
TEST_SECONDS = 80


def program():
    given = os.environ.get("THALWEG_GO_TESTS")
    return pathlib.Path(given) if given else pathlib.Path(sys.prefix) / "franz-go.test"


def missing():
    if "THALWEG_GO_TESTS" not in os.environ:
        if os.environ.get("THALWEG_CLIENTS") != "franz-go":
            return "only in the set franz-go"
        if not shutil.which("go"):
            return "go is not on PATH"
        # Says so, too, where this Go is older than go.mod asks for.
        ran = go("mod", "download")
        if ran.returncode != 0:
            return f"Go cannot fetch the modules: {ran.stderr[-300:]}"
        ran = go("test", "-mod=readonly", "-c", "-o", str(program()), ".")
        assert ran.returncode == 0, ran.stdout + ran.stderr
    make_tests()
    return None


def go(*arguments):
    return subprocess.run(["go", *arguments], cwd=HERE, capture_output=True, text=True)


def run(pattern, **environment):
    return subprocess.run(
        [program(), *pattern], capture_output=True, text=True, timeout=TEST_SECONDS,
        env=os.environ | environment, cwd=HERE,
    )


def make_tests():
    """One test for each that the program has."""
    for name in run(["-test.list", "."]).stdout.split():
        def test(server, name=name):
            ran = run(["-test.v", "-test.run", f"^{name}$"], THALWEG_KAFKA=server.kafka)
            assert ran.returncode == 0, (ran.stdout + ran.stderr)[-3000:]

        test.__name__ = f"test_{name.removeprefix('Test')}"
        globals()[test.__name__] = test
