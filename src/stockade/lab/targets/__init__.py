"""What a run takes place on: a database, Redis servers, Kafka brokers; private ones or the user's."""
