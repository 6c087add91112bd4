"""`make kafka`: brokers in the foreground, until interrupted."""

import argparse
import signal
import sys
import threading
from pathlib import Path

from kafka import jars
from kafka.broker import BrokerFailed, Runtime
from kafka.cluster import USERS, Cluster, WrongCluster, make_archive
from kafka.properties import SECURE


def main(arguments: list[str] | None = None) -> int:
    """Run the brokers; returns the exit code: 0 stopped, 1 a broker failed, 2 Kafka cannot run here or as asked."""
    options = _parser().parse_args(arguments)
    try:
        if not jars.fetched():
            print(f"Fetching Kafka {jars.version()} …", flush=True)
        runtime = Runtime()
        if options.jars_only:
            print(f"Kafka {jars.version()} can run here.")
            return 0
        make_archive(runtime)
        cluster = Cluster(options.dir, options.brokers, options.port, options.secure, runtime=runtime)
        return _serve(cluster)
    except (jars.KafkaMissing, WrongCluster) as error:
        print(error, file=sys.stderr)
        return 2
    except BrokerFailed as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # before any broker was started
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m kafka", description="Run Apache Kafka on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=9092, help="port of the first broker; the next ones follow")
    parser.add_argument("--dir", type=Path, default=Path("data/kafka"), help="where the brokers keep their data")
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=1)
    parser.add_argument("--secure", action="store_true", help="also listen for SASL and TLS")
    parser.add_argument("--jars-only", action="store_true", help="only fetch Kafka's jars, or say why they cannot be")
    return parser


def _serve(cluster: Cluster) -> int:
    interrupted = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: interrupted.set())
    cluster.start()
    try:
        print(f"Kafka {jars.version()} listens at {cluster.address()}; Ctrl-C stops it.")
        if cluster.secure:
            for listener in SECURE:
                print(f"{listener}: {cluster.address(listener)}")
            users = ", ".join(f"{name} / {password}" for name, password in USERS.items())
            print(f"Trust {cluster.trusted}; users: {users}")
        sys.stdout.flush()
        return _wait(cluster, interrupted)
    finally:
        cluster.stop()


def _wait(cluster: Cluster, interrupted: threading.Event) -> int:
    """Wait until interrupted (0), or until a broker ends by itself (1)."""
    while not interrupted.wait(0.5):
        for broker in cluster.brokers.values():
            if not broker.alive:
                print(f"{broker.folder.name} has ended:\n{broker.tail()}", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
