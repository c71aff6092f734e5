"""A private Apache Kafka: download it, secure it, run it. `files/` has its Maven project and its settings."""

from stockade.devservers.kafka.cluster import KIND, KafkaCluster, create, find

__all__ = ["KIND", "KafkaCluster", "create", "find"]
