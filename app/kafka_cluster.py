"""The Kafka cluster of the settings: how to connect to it, and how its topics are configured."""

from collections.abc import Mapping

from app.kafka.cluster import Cluster
from app.kafka.security import Security
from app.settings import Settings, SettingsError


def security(settings: Settings) -> Security:
    """How this worker connects to Kafka.

    Raises:
        SettingsError: a certificate or key cannot be used.
    """
    found = Security(
        settings.kafka_security_protocol,
        settings.kafka_sasl_mechanism,
        settings.kafka_sasl_username,
        settings.kafka_sasl_password,
        settings.kafka_ssl_cafile,
        settings.kafka_ssl_certfile,
        settings.kafka_ssl_keyfile,
    )
    try:
        found.credentials()
    except OSError as error:
        raise SettingsError(f"the certificates of CALLSCORE_KAFKA_SSL_* cannot be used: {error}") from None
    return found


def kafka_cluster(settings: Settings, topics: Mapping[str, Mapping[str, str]]) -> Cluster:
    """The Kafka cluster of these settings, with these topics: name → config.

    Raises:
        SettingsError: a certificate or key cannot be used.
    """
    return Cluster(
        settings.kafka_servers,
        security(settings),
        settings.partitions,
        settings.kafka_replication,
        settings.kafka_min_insync,
        topics,
        settings.kafka_prefix,
    )
