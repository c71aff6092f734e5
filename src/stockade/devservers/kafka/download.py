"""Finds Java, and fetches the jars of Apache Kafka once, by Maven.

Maven, because it uses the machine's mirrors and verifies what it fetches. Neighbour: `cluster.py` runs the jars.
"""

import functools
import os
import re
import shutil
import subprocess
from pathlib import Path

from stockade.devservers.errors import ServerUnavailable
from stockade.devservers.launch import Program
from stockade.devservers.programs import cache_folder

FILES = Path(__file__).with_name("files")
OLDEST_JAVA = 17
_FETCH_LIMIT_S = 600.0
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"


def find_java() -> Program:
    """A Java that runs Kafka 4: JAVA_HOME first, then PATH.

    Raises:
        ServerUnavailable: it is not installed, or too old.
    """
    java_home = os.environ.get("JAVA_HOME")
    places = [Path(java_home) / "bin" / "java"] if java_home else []
    places += [Path(hit)] if (hit := shutil.which("java")) else []
    for path in places:
        if path.is_file() and _java_version(path) >= OLDEST_JAVA:
            return Program(path)
    raise ServerUnavailable(f"no Java {OLDEST_JAVA} or later: apt-get install default-jre-headless")


def jars_folder() -> Path:
    """The folder of the jars."""
    version = re.search(r"<kafka.version>(.+)</kafka.version>", (FILES / "pom.xml").read_text())
    assert version, "pom.xml names the version"
    return cache_folder() / f"kafka-{version[1]}"


def class_archive(folder: Path) -> Path:
    """Where Java's archive of classes is, for a folder of jars: beside it."""
    return folder.with_name(f"{folder.name}.jsa")


def find_maven() -> str:
    """Maven's program.

    Raises:
        ServerUnavailable: it is not installed.
    """
    if maven := shutil.which("mvn"):
        return maven
    raise ServerUnavailable("no jars of Apache Kafka, and no mvn to fetch them: apt-get install maven")


def fetch_jars() -> Path:
    """The folder of jars; fetches them if it does not exist (46 files, 45 MB).

    Raises:
        ServerUnavailable: Maven is not installed, or could not fetch them; the message carries its output.
    """
    folder = jars_folder()
    if folder.is_dir():
        return folder
    unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
    arguments = ["-B", "-ntp", "-q", "-f", str(FILES / "pom.xml"), _COPY]
    options = [f"-DoutputDirectory={unfinished}", "-DincludeScope=runtime"]
    try:
        done = subprocess.run(
            [find_maven(), *arguments, *options], capture_output=True, text=True, timeout=_FETCH_LIMIT_S, check=False
        )
        if done.returncode or not list(unfinished.glob("kafka_2.13-*.jar")):
            raise ServerUnavailable(f"mvn could not fetch Apache Kafka: {' '.join(done.stdout.split())[:600]}")
        _keep(unfinished, folder)
    except subprocess.TimeoutExpired as error:
        raise ServerUnavailable(f"mvn did not fetch Apache Kafka within {_FETCH_LIMIT_S:.0f} s") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _keep(unfinished: Path, folder: Path) -> None:
    """Rename the finished folder; if another process was faster, its folder stays."""
    try:
        unfinished.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


@functools.cache
def _java_version(java: Path) -> int:
    output = subprocess.run([str(java), "-version"], capture_output=True, text=True, timeout=30, check=False).stderr
    found = re.search(r'version "(\d+)', output)
    return int(found[1]) if found else 0
