"""A real Apache Kafka on this machine, without Docker: for development (`make kafka`) and for the tests."""
