"""Programs in Java: Maven fetches the jars that a pom.xml names, javac adds our own classes."""

import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
TOOL_SECONDS = 60


class Programs:
    """The programs of the set `name`, whose pom.xml and sources lie in a folder of that name.

    They are kept in the set's virtual environment; `THALWEG_<NAME>_LIBS` is a folder that has the
    jars already.
    """

    def __init__(self, name, *options):
        self.name, self.options = name, options
        self.sources = HERE / name
        self.given = os.environ.get(f"THALWEG_{name.upper()}_LIBS")
        self.libs = pathlib.Path(self.given or f"{sys.prefix}/{name}-libs")

    def missing(self):
        """Makes them ready. Says why where that cannot be done."""
        if not self.given and os.environ.get("THALWEG_CLIENTS") != self.name:
            return f"only in the set {self.name}"
        for program in ("java", "javac", "mvn"):
            if not shutil.which(program):
                return f"{program} is not on PATH"
        pom, mark = self.sources / "pom.xml", self.libs / "pom.xml"
        wanted = pom.read_text()
        if not self.given and not (mark.exists() and mark.read_text() == wanted):
            shutil.rmtree(self.libs, ignore_errors=True)
            ran = self.fetch(pom)
            if ran.returncode != 0:
                return f"Maven cannot fetch the jars: {(ran.stdout + ran.stderr)[-300:]}"
            mark.write_text(wanted)
        self.compile()
        return None

    def fetch(self, pom):
        maven = ["mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies"]
        maven.append(f"-DoutputDirectory={self.libs}")
        return subprocess.run(maven, capture_output=True, text=True)

    def compile(self):
        classes = self.libs / "classes"
        classes.mkdir(exist_ok=True)
        sources = sorted(self.sources.glob("*.java"))
        subprocess.run(["javac", "-cp", f"{self.libs}/*", "-d", classes, *sources], check=True)

    def command(self, main, *arguments):
        path = f"{self.libs}/*{os.pathsep}{self.libs}/classes"
        java = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", *self.options, "-cp", path]
        return [*java, main, *map(str, arguments)]

    def tool(self, main, *arguments, text=None, seconds=TOOL_SECONDS):
        """Runs one to its end; what it printed."""
        ran = subprocess.run(
            self.command(main, *arguments), input=text, capture_output=True, text=True,
            timeout=seconds,
        )
        assert ran.returncode == 0, f"{main}: {ran.stdout[-2000:]}{ran.stderr[-2000:]}"
        return ran.stdout
