"""Everything about Apache Kafka: clients, topics, and the worker that decides the commands of a topic."""
