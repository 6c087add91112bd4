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
    """Run the launcher; returns its exit code: 0 all well, 1 a broker failed, 2 Kafka cannot run here or like this."""
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
    except KeyboardInterrupt:  # before there was anything to stop
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m kafka", description="Run Apache Kafka on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=9092, help="of the first broker; the next ones follow")
    parser.add_argument("--dir", type=Path, default=Path("data/kafka"), help="where brokers keep their logs")
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=1)
    parser.add_argument("--secure", action="store_true", help="listen for SASL and TLS too")
    parser.add_argument("--jars-only", action="store_true", help="only fetch what is needed, or say why it cannot be")
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
            print(f"Trust {cluster.trusted}; users: " + ", ".join(f"{name} / {word}" for name, word in USERS.items()))
        sys.stdout.flush()
        return _wait(cluster, interrupted)
    finally:
        cluster.stop()


def _wait(cluster: Cluster, interrupted: threading.Event) -> int:
    """Until interrupted, or until a broker ends by itself."""
    while not interrupted.wait(0.5):
        for broker in cluster.brokers.values():
            if not broker.alive:
                print(f"{broker.folder.name} has ended:\n{broker.tail()}", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
