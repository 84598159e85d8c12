"""One schema in three languages, serializers for it, and a registry in this process.

The registry is the client's own `mock://`: it keeps schemas and gives out ids as a real one does,
without HTTP. What HTTP does to a writer is shown by a server that only answers with a status.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import Default
from google.protobuf.message_factory import GetMessageClass

AVRO = json.dumps(
    {
        "type": "record",
        "name": "Invoice",
        "fields": [
            {"name": "total", "type": "double"},
            {"name": "note", "type": ["null", "string"], "default": None},
            {"name": "lines", "type": "int", "default": 0},
        ],
    }
)
JSON_SCHEMA = json.dumps(
    {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Invoice",
        "type": "object",
        "properties": {"total": {"type": "number"}, "note": {"type": "string"}},
        "required": ["total"],
    }
)

Serializer = Callable[[Any, Any], Any]


def _invoice_message() -> Any:
    """The class that protoc makes of `message Invoice {double total = 1; string note = 2;}`."""
    file = FileDescriptorProto(name="invoice.proto", package="acme", syntax="proto3")
    message = file.message_type.add(name="Invoice")
    optional = FieldDescriptorProto.LABEL_OPTIONAL
    double, string = FieldDescriptorProto.TYPE_DOUBLE, FieldDescriptorProto.TYPE_STRING
    message.field.add(name="total", number=1, type=double, label=optional)
    message.field.add(name="note", number=2, type=string, label=optional)
    Default().Add(file)
    return GetMessageClass(Default().FindMessageTypeByName("acme.Invoice"))


Invoice = _invoice_message()


def registry() -> SchemaRegistryClient:
    """A fresh registry."""
    return SchemaRegistryClient.new_client({"url": f"mock://{uuid4()}"})


def avro(client: SchemaRegistryClient) -> tuple[Serializer, Serializer]:
    """A serializer, and what reads its payloads."""
    return AvroSerializer(client, AVRO), AvroDeserializer(client)


def json_schema(client: SchemaRegistryClient) -> tuple[Serializer, Serializer]:
    """A serializer, and what reads its payloads."""
    reader = JSONDeserializer(JSON_SCHEMA, schema_registry_client=client)
    return JSONSerializer(JSON_SCHEMA, client), reader


def protobuf(client: SchemaRegistryClient) -> tuple[Serializer, Serializer]:
    """A serializer, and what reads its payloads."""
    reader = ProtobufDeserializer(Invoice, schema_registry_client=client)
    return ProtobufSerializer(Invoice, client), reader


FORMATS: dict[str, tuple[Callable[[SchemaRegistryClient], tuple[Serializer, Serializer]], Any]] = {
    "avro": (avro, {"total": 12.5, "note": "é \U0001f511", "lines": 3}),
    "json-schema": (json_schema, {"total": 12.5, "note": "é \U0001f511"}),
    "protobuf": (protobuf, Invoice(total=12.5, note="é \U0001f511")),
}
