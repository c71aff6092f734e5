"""Runs of the strategy that queues orders in Apache Kafka: its log workers, and what only they can measure."""
