"""What a run uses: a database, Redis servers, Kafka servers; private ones or the user's."""
