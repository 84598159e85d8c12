"""The Kafka client's settings, RELAY_KAFKA_<PROPERTY>[_FILE].

The environment comes in as an argument: config.py reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from relay import plaintext
from relay.secret_files import SUFFIX, Secret, WithSecrets, read

__all__ = ["BOOTSTRAP_SERVERS", "PREFIX", "plaintext_faults", "properties_of", "variable"]

PREFIX = "RELAY_KAFKA_"
BOOTSTRAP_SERVERS = f"{PREFIX}BOOTSTRAP_SERVERS"
_TOKENS = "sasl.oauthbearer.token.endpoint.url"
_IN_THE_CLEAR = (
    f"{BOOTSTRAP_SERVERS}: names another machine, and what is sent there would be in the clear: "
    f"set {PREFIX}SECURITY_PROTOCOL to SSL or SASL_SSL, or RELAY_PLAINTEXT=yes"
)


def properties_of(environment: Mapping[str, str]) -> tuple[Mapping[str, str], list[str]]:
    """The user's librdkafka properties, those from files read anew whenever they are asked for; and
    what is wrong with those that cannot be read.
    """
    given = {
        name.removeprefix(PREFIX): value
        for name, value in environment.items()
        if name.startswith(PREFIX) and name != BOOTSTRAP_SERVERS
    }
    texts, secrets, faults = {}, {}, []
    # No property of librdkafka ends in ".file", so the suffix cannot be mistaken for a part of one.
    for name, value in given.items():
        if not name.endswith(SUFFIX):
            texts[_property(name)] = value
        elif (whole := name.removesuffix(SUFFIX)) in given:
            faults.append(f"{PREFIX}{name}: is set beside {PREFIX}{whole}: set one of them")
        else:
            try:
                secrets[_property(whole)] = Secret(partial(read, value))
            except ValueError as problem:
                faults.append(f"{PREFIX}{name}: {problem}")
    return WithSecrets(texts, secrets), faults


def variable(environment: Mapping[str, str], property_name: str) -> str:
    """The variable that a property was given by."""
    name = PREFIX + property_name.upper().replace(".", "_")
    return name + SUFFIX if name + SUFFIX in environment else name


def plaintext_faults(bootstrap_servers: str, properties: Mapping[str, str]) -> list[str]:
    """What is wrong with going to these brokers in the clear, if that is what would be done."""
    faults = []
    if plaintext.may_be_to_brokers(bootstrap_servers, properties.get("security.protocol", "")):
        faults.append(_IN_THE_CLEAR)
    if plaintext.may_be_to_http(properties.get(_TOKENS, "")):
        faults.append(f"{PREFIX}{_TOKENS.upper().replace('.', '_')}: {plaintext.HTTP_IN_THE_CLEAR}")
    return faults


def _property(name: str) -> str:
    return name.lower().replace("_", ".")
