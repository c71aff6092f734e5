"""What the API answers: schemas, error codes and problem bodies."""
