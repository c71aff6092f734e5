"""Examples and descriptions of the OpenAPI document, completed from the schemas themselves.

Each member of a body has a description and an example of its own; the example of an object or of a list is put together
from those. Neighbour: `openapi` calls it.
"""

import re
from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]
_SECTIONS = re.compile(r"\n\s*\n?\s*(?:Args|Attributes|Raises|Returns):\n.*", re.DOTALL)
_DEPTH = 20  # of a schema; ours have four


def complete(components: Mapping[str, Schema]) -> None:
    """Remove the sections of docstrings from the descriptions, and give every member an example.

    Args:
        components: the schemas of the document by name; changed in place.

    Raises:
        ValueError: a member has neither an example nor anything that an example could be made of.
    """
    for schema in components.values():
        if "description" in schema:
            schema["description"] = _prose(schema["description"])
    for name, schema in components.items():
        for member, each in schema.get("properties", {}).items():
            flatten(each)
            try:
                each.setdefault("examples", [example_of(each, components)])
            except ValueError as error:
                raise ValueError(f"{name}.{member}: {error}") from None


def _prose(docstring: str) -> str:
    """The first part of a docstring, without line breaks inside its paragraphs."""
    paragraphs = _SECTIONS.sub("", docstring).split("\n\n")
    return "\n\n".join(" ".join(each.split()) for each in paragraphs)


def flatten(schema: Schema) -> None:
    """Give a member that may be absent or null the description and the example of its type."""
    options = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    if len(options) != 1:
        return
    for word in ("description", "examples"):
        if word in options[0]:
            schema.setdefault(word, options[0][word])


def example_of(schema: Schema, components: Mapping[str, Schema], depth: int = 0) -> Any:
    """An example that a schema describes.

    Args:
        schema: of a member, a parameter or a body.
        components: the schemas that it may refer to.
        depth: how many schemas it stands in.

    Raises:
        ValueError: there is nothing to make it of.
    """
    if depth > _DEPTH:
        raise ValueError("a schema within itself")
    if schema.get("examples"):
        return schema["examples"][0]
    if "$ref" in schema:
        return example_of(components[schema["$ref"].rpartition("/")[2]], components, depth + 1)
    for word in ("const", "default"):
        if schema.get(word) is not None:
            return schema[word]
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "array":
        return [example_of(schema["items"], components, depth + 1)]
    if "properties" in schema:
        return {name: example_of(each, components, depth + 1) for name, each in schema["properties"].items()}
    for option in schema.get("anyOf", ()):
        if option.get("type") != "null":
            return example_of(option, components, depth + 1)
    raise ValueError(f"no example in {schema}")
