"""Kafka's jars, fetched once from Maven Central and kept beside this file, and the Java to run them."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

JAVA_VERSION = 17
HERE = Path(__file__).resolve().parent
POM = HERE / "pom.xml"
STORE = HERE / ".jars"
ARCHIVE = "classes.jsa"
FETCH_SECONDS = 120
AGAIN_SECONDS = 600  # until Maven is asked again after a failure


class KafkaMissing(Exception):
    """Kafka cannot run here; the message is one sentence that says why."""


def version() -> str:
    """The version of Kafka that the pom pins."""
    found = re.search(r"<kafka\.version>(.+)</kafka\.version>", POM.read_text())
    assert found, POM
    return found[1]


def java() -> str:
    """The `java` to run brokers with.

    Raises:
        KafkaMissing: there is none, or it is too old.
    """
    needed = f"Kafka needs a JDK of version {JAVA_VERSION} or newer"
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home, "bin"))) if home else shutil.which("java")
    if found is None:
        where = f"JAVA_HOME={home} has no bin/java" if home else "there is no java on the PATH"
        raise KafkaMissing(f"{needed}, and {where}.")
    version_text = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr
    number = re.search(r'version "(\d+)', version_text)
    if number is None or int(number[1]) < JAVA_VERSION:
        raise KafkaMissing(f"{needed}, and {found} is {number[1] if number else 'none'}.")
    return found


def fetched() -> bool:
    """Whether the jars of the pom are already here."""
    return _folder().is_dir()


def ensure() -> Path:
    """The folder with all jars, which are fetched if they are missing.

    Raises:
        KafkaMissing: there is no Maven, or it could not get them.
    """
    folder = _folder()
    if folder.is_dir():
        return folder
    with alone():
        if not folder.is_dir():
            _raise_recent_failure()
            try:
                _fetch(folder)
            except KafkaMissing as error:
                _failure().write_text(str(error))
                raise
    return folder


def _raise_recent_failure() -> None:
    """Fail as another process just did, so that processes that start together do not wait for Maven in turn."""
    failure = _failure()
    if failure.exists() and time.time() - failure.stat().st_mtime < AGAIN_SECONDS:
        raise KafkaMissing(failure.read_text())


def _failure() -> Path:
    """The file that says why Maven could not get the jars the last time."""
    return STORE / "refused"


def _folder() -> Path:
    return STORE / hashlib.sha256(POM.read_bytes()).hexdigest()[:12]


def classpath(folder: Path) -> str:
    """All jars of `folder`, always in the same order: a class archive is only valid for the same classpath."""
    return os.pathsep.join(str(jar) for jar in sorted(folder.glob("*.jar")))


@contextmanager
def alone() -> Iterator[None]:
    """Hold a lock, so that processes that start together make what they share once."""
    STORE.mkdir(exist_ok=True)
    with (STORE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaMissing("Kafka's jars are fetched with Maven, and there is no mvn on the PATH.")
    for old in STORE.iterdir():
        if old.is_dir():
            shutil.rmtree(old)
    unfinished = Path(tempfile.mkdtemp(dir=STORE))
    command = [maven, "-q", "--batch-mode", "--strict-checksums", "--file", str(POM)]
    command += ["dependency:copy-dependencies", f"-DoutputDirectory={unfinished}", "-DincludeScope=runtime"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=FETCH_SECONDS, stdin=subprocess.DEVNULL, check=False
        )
    except subprocess.TimeoutExpired:
        raise KafkaMissing(f"Maven did not get Kafka's jars within {FETCH_SECONDS} seconds.") from None
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if "ERROR" in line] or ["no reason given"]
        raise KafkaMissing(f"Maven could not get Kafka's jars: {lines[0].removeprefix('[ERROR]').strip()}")
    unfinished.chmod(0o755)
    unfinished.rename(folder)
