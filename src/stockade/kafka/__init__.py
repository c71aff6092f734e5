"""All of Apache Kafka: what services and workers share to decide the commands of a topic.

A command's way: the strategy `kafka` writes it with `producer`; `consumer` reads it for `worker`, which hands it to the
`partition_processor` of its partition; the outcome returns through `replies` and `reply_reader`. `client`, `security`,
`options` and `message` serve all of them; `admin`, `backlog` and `dead_letters` serve operators.
"""

from stockade.core.extras import require

require("msgspec")
