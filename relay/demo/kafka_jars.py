"""Java, and the jars of a real Apache Kafka, which Maven fetches once into the user's cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from relay.demo.kept_process import ServiceFailed

VERSION: Final = "4.3.1"
JAVA_MIN: Final = 17
_MAVEN_TIMEOUT_S: Final = 300.0
_LOG_TAIL_CHARACTERS: Final = 4_000
_ARTIFACTS: Final = (
    ("org.apache.kafka", "kafka_2.13", VERSION),
    ("org.apache.kafka", "kafka-tools", VERSION),  # the producer performance test
    ("org.slf4j", "slf4j-simple", "1.7.36"),  # without it the reason of a failed start is lost
)
_POM: Final = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>outbox-relay</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
{dependencies}  </dependencies>
</project>
"""
_DEPENDENCY: Final = """\
    <dependency>
      <groupId>{}</groupId>
      <artifactId>{}</artifactId>
      <version>{}</version>
    </dependency>
"""


def unavailable_reason() -> str | None:
    """Why no broker can be started here, or None when Java and Maven, or the jars, are there."""
    if find_java() is None:
        return f"no Java {JAVA_MIN} or newer in JAVA_HOME or PATH"
    if not _jars_folder().is_dir() and shutil.which("mvn") is None:
        return "no Maven in PATH to fetch the broker's jars with"
    return None


def find_java() -> str | None:
    """The Java of JAVA_HOME, else of PATH, if it is new enough for the broker."""
    home = os.environ.get("JAVA_HOME")  # Java's own convention, and no setting of ours
    for java in (f"{home}/bin/java" if home else None, shutil.which("java")):
        if java is not None and Path(java).is_file() and _java_major(java) >= JAVA_MIN:
            return java
    return None


def resolve_jars() -> Path:
    """The folder with the broker's jars, fetched by Maven the first time.

    Renamed into place when complete: a download that was cut short leaves nothing that looks like
    the jars, and two processes that fetch at once do not see each other's half.

    Raises:
        ServiceFailed: Maven failed; with the end of its output.
    """
    jars = _jars_folder()
    if jars.is_dir():
        return jars
    jars.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=jars.parent, prefix=".fetching-") as scratch:
        fetched = _fetch(Path(scratch))
        try:
            fetched.rename(jars)
        except OSError:
            if not jars.is_dir():  # else another process was first, with the same jars
                raise
    return jars


def run_to_end(command: list[str], log: Path, timeout_s: float) -> None:
    """Run a program that ends by itself, its output in `log`.

    Raises:
        ServiceFailed: not there, too slow, or it failed; with the end of its output.
    """
    name = Path(command[0]).name
    with log.open("wb") as output:
        try:
            code = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=timeout_s,
                check=False,
            ).returncode
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ServiceFailed(f"{name}: {error}") from error
    if code:
        said = log.read_text(errors="replace")[-_LOG_TAIL_CHARACTERS:]
        raise ServiceFailed(f"{name} ended with {code}:\n{said}")


def _fetch(scratch: Path) -> Path:
    pom, jars = scratch / "pom.xml", scratch / "jars"
    dependencies = "".join(_DEPENDENCY.format(*artifact) for artifact in _ARTIFACTS)
    pom.write_text(_POM.format(dependencies=dependencies))
    command = ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies"]
    command += [f"-DoutputDirectory={jars}", "-DincludeScope=runtime"]
    run_to_end(command, scratch / "maven.log", _MAVEN_TIMEOUT_S)
    return jars


def _jars_folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME")  # the desktop's convention, and no setting of ours
    return (Path(cache) if cache else Path.home() / ".cache") / "outbox-relay" / f"kafka-{VERSION}"


def _java_major(java: str) -> int:
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(found.group(1)) if found else 0
