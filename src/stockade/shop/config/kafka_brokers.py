"""The Kafka brokers of the settings, with the encryption and the login of every client.

Neighbours: `strategy_options`, the relay, the backlog metrics and the command line use them; `strategy_choice` checks
them before anything is opened.
"""

import re

from stockade.kafka.security import KafkaBrokers, KafkaSecurity
from stockade.shop.config.settings import BadSetting, Settings

HOW_TO_NAME_BROKERS = "by --set kafka_bootstrap=HOST:PORT or STOCKADE_KAFKA_BOOTSTRAP"
_BROKER = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s/@:\[\]]+)(:\d{1,5})?")


def brokers_of(settings: Settings) -> KafkaBrokers:
    """The brokers that every client of this process connects to.

    Raises:
        BadSetting: a broker is no host:port, encryption and login do not fit together, or a file is missing; the
            message names the setting.
    """
    for broker in filter(None, settings.kafka_bootstrap.split(",")):
        if not _BROKER.fullmatch(broker.strip()):
            written = settings.with_value(kafka_bootstrap=settings.kafka_bootstrap)
            must_be = "must be host:port separated by commas; the login is kafka_username and kafka_password"
            raise BadSetting(f"{written}: {must_be}")
    try:
        security = KafkaSecurity(
            security=settings.kafka_security,
            sasl_mechanism=settings.kafka_sasl_mechanism,
            username=settings.kafka_username,
            password=settings.kafka_password,
            ssl_ca=settings.kafka_ssl_ca,
            ssl_cert=settings.kafka_ssl_cert,
            ssl_key=settings.kafka_ssl_key,
            ssl_key_password=settings.kafka_ssl_key_password,
            ssl_check_hostname=settings.kafka_ssl_check_hostname == "yes",
        )
    except ValueError as error:
        given = [name for name in settings.sources if re.search(rf"\b{name}\b", str(error))]
        raise BadSetting(f"{error}{f' ({settings.with_source(*given)})' if given else ''}") from None
    return KafkaBrokers(settings.kafka_bootstrap, security)
