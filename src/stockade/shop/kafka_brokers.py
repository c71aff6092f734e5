"""The brokers of the settings: where they are, and the encryption and login of every client that asks them.

Neighbours: `wiring`, the relay, the lag metrics and the command line take them from here; `strategy_choice` checks
them before anything is opened.
"""

from stockade.shop.settings import BadSetting, Settings
from stockade.strategies.kafka_security import KafkaBrokers, KafkaSecurity


def brokers_of(settings: Settings) -> KafkaBrokers:
    """The brokers that every client of this process connects to.

    Raises:
        BadSetting: encryption and login do not fit together, or a file is missing; the message names the setting.
    """
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
        raise BadSetting(str(error)) from None
    return KafkaBrokers(settings.kafka_bootstrap, security)
