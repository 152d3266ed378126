"""kafkajs on Node: the scenarios of node/*.js, each in a process of its own.

npm installs the packages of node/package-lock.json into the virtual environment of the set
`kafkajs`; `THALWEG_NODE_MODULES` names a folder that has them already.
"""

import os
import pathlib
import shutil
import subprocess
import sys

from harness import topic_name

HERE = pathlib.Path(__file__).resolve().parent / "node"
SCENARIO_SECONDS = 60


def modules():
    given = os.environ.get("THALWEG_NODE_MODULES")
    return pathlib.Path(given) if given else pathlib.Path(sys.prefix) / "node" / "node_modules"


def missing():
    given = "THALWEG_NODE_MODULES" in os.environ
    if not given and os.environ.get("THALWEG_CLIENTS") != "kafkajs":
        return "only in the set kafkajs"
    for program in ("node",) if given else ("node", "npm"):
        if not shutil.which(program):
            return f"{program} is not on PATH"
    return None if given else install()


def install():
    """The packages, once for each lock file."""
    folder = modules().parent
    mark = folder / "installed-lock.json"
    wanted = (HERE / "package-lock.json").read_text()
    if mark.exists() and mark.read_text() == wanted:
        return None
    folder.mkdir(exist_ok=True)
    for file in ("package.json", "package-lock.json"):
        shutil.copy(HERE / file, folder)
    npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    ran = subprocess.run(npm, cwd=folder, capture_output=True, text=True)
    if ran.returncode != 0:
        return f"npm cannot install the packages: {(ran.stdout + ran.stderr)[-300:]}"
    mark.write_text(wanted)
    return None


def node(server, file, scenario, *arguments):
    environment = os.environ | {"NODE_PATH": str(modules()), "KAFKAJS_NO_PARTITIONER_WARNING": "1"}
    program = ["node", "--no-deprecation", HERE / "main.js", server.kafka, file, scenario, *arguments]
    return subprocess.Popen(
        program, env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )


def ends_well(process):
    try:
        shown, _ = process.communicate(timeout=SCENARIO_SECONDS)
    finally:
        process.kill()
    assert process.returncode == 0, shown[-3000:]


def scenarios(file, *names):
    """A test for each scenario, under its name."""
    for name in names:
        def run(server, name=name):
            ends_well(node(server, file, name))

        words = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
        run.__name__ = f"test_{file}_{words}"
        globals()[run.__name__] = run


scenarios(
    "records", "produceAndConsume", "recordsComeBackWhole", "everyCodec", "idempotentProducer",
    "seekPauseAndResume", "unknownTopicsAndTooLargeRecords",
)
scenarios("groups", "membersShareATopic", "manualCommitsAndARestart", "eachBatch")
scenarios(
    "transactions", "committedAndAborted", "openTransactionsHoldReadersBack",
    "offsetsInATransaction", "aNewProducerFencesTheOld",
)
scenarios(
    "admin", "topicsComeAndGo", "theCluster", "settings", "offsetsOfATopic", "recordsAreDeleted",
    "groups",
)


def test_groups_outlive_kill(own_server):
    server = own_server
    process = node(server, "groups", "outlivesAServer", topic_name("durable"), topic_name("group"))
    shown = process.stdout.readline()
    assert shown == "half\n", shown + process.stdout.read()
    port = server.kafka.rsplit(":", 1)[1]
    server.kill()
    server.command = server.command.replace("--kafka 127.0.0.1:0", f"--kafka 127.0.0.1:{port}")
    server.start()
    process.stdin.write("go on\n")
    process.stdin.flush()
    ends_well(process)
