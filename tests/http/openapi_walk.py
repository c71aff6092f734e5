"""Walks through an OpenAPI document: what lacks a description or an example, and every example with its schema."""


def undescribed(document):
    """Where the document lacks a description or an example: of an operation, a parameter, a header or a member."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            name = f"{method.upper()} {path}"
            if not (operation.get("summary") and operation.get("description")):
                yield f"{name}: no summary or description"
            for parameter in operation.get("parameters", ()):
                yield from _lacking(f"{name} {parameter['in']} {parameter['name']}", parameter, parameter["schema"])
            for status, response in operation["responses"].items():
                if not response.get("description"):
                    yield f"{name} {status}: no description"
                for header, each in response.get("headers", {}).items():
                    yield from _lacking(f"{name} {status} {header}", each, each["schema"])
                for media in response.get("content", {}).values():
                    yield from _members(f"{name} {status}", media["schema"])
            for media in operation.get("requestBody", {}).get("content", {}).values():
                yield from _members(name, media["schema"])
    for name, schema in document["components"]["schemas"].items():
        if not schema.get("description"):
            yield f"{name}: no description"
        yield from _members(name, schema)


def _members(where, schema):
    for name, each in schema.get("properties", {}).items():
        if set(each) != {"enum"}:  # the codes of one status, described in the schema of all problems
            yield from _lacking(f"{where}.{name}", each, each)
            yield from _members(f"{where}.{name}", each)
    if isinstance(schema.get("items"), dict):
        yield from _members(f"{where}[]", schema["items"])


def _lacking(where, described, schema):
    if not described.get("description"):
        yield f"{where}: no description"
    if "example" not in described and not schema.get("examples"):
        yield f"{where}: no example"


def examples(document):
    """Every example with its schema and where it stands; bodies, parameters, headers, members and errors."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            name = f"{method.upper()} {path}"
            for parameter in operation.get("parameters", ()):
                yield f"{name} {parameter['name']}", parameter["schema"], parameter["example"]
            for media in operation.get("requestBody", {}).get("content", {}).values():
                yield name, media["schema"], media["example"]
            for status, response in operation["responses"].items():
                for header, each in response.get("headers", {}).items():
                    yield f"{name} {status} {header}", each["schema"], each["example"]
                for media in response.get("content", {}).values():
                    for code, example in media.get("examples", {}).items():
                        shown = document["components"]["examples"][example["$ref"].rpartition("/")[2]]
                        yield f"{name} {status} {code}", media["schema"], shown["value"]
    for name, schema in document["components"]["schemas"].items():
        for member, each in schema["properties"].items():
            for example in each["examples"]:
                yield f"{name}.{member}", each, example
