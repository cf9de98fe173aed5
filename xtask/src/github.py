"""Holds what scenarios exchanged with the simulated GitHub against GitHub's own description of its REST API.

    python github.py DESCRIPTION EXCHANGES

DESCRIPTION is OpenAPI 3.0 (npm: @octokit/openapi), EXCHANGES a folder of files {name, request, status, answer}; `name` is
`POST /repos/o/r/deployments`. A request must be of a method and path that are described, and its body of the schema, without
a member that is not described. An answer must have a status that is described, or one that every path may answer with, and
members of the described types; what it leaves out is no mistake. Exits with 1 and one line per mistake.
"""

import json
import pathlib
import re
import sys

import jsonschema

# What any path may answer: https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api
ALWAYS = {"401", "403", "404", "422", "429", "500", "502", "503"}


def main(description, exchanges):
    api = json.loads(pathlib.Path(description).read_text(encoding="utf-8"))
    # The path with the fewest variables wins, as OpenAPI has it.
    paths = sorted(api["paths"], key=lambda path: path.count("{"))
    patterns = [(re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path) + "$"), path) for path in paths]
    find_planted_mistakes(api, patterns)
    files = sorted(pathlib.Path(exchanges).glob("*.json"))
    mistakes, operations = [], set()
    for file in files:
        exchange = json.loads(file.read_text(encoding="utf-8"))
        operation, found = check(api, patterns, exchange)
        operations.add(operation)
        mistakes += [f"{exchange['name']} ({exchange['status']}): {mistake}" for mistake in found]
    for mistake in dict.fromkeys(mistakes):
        print(mistake)
    print(f"github: {len(files)} exchanges of {len(operations)} operations, {len(mistakes)} mistakes")
    return 1 if mistakes or not files else 0


def check(api, patterns, exchange):
    method, path = exchange["name"].split(" ", 1)
    path = path.split("?")[0]
    described = next((name for pattern, name in patterns if pattern.match(path)), None)
    operation = api["paths"].get(described, {}).get(method.lower())
    if operation is None:
        return exchange["name"], ["GitHub describes no such operation"]
    found = []
    body = operation.get("requestBody")
    if exchange["request"] is not None:
        if body is None:
            found.append("a body, and the operation takes none")
        else:
            schema = body["content"]["application/json"]["schema"]
            found += problems(api, schema, exchange["request"], whole=True, where="request")
    elif body is not None and resolve(api, body).get("required"):
        found.append("no body, and the operation needs one")
    answer = operation["responses"].get(str(exchange["status"]))
    if answer is None:
        if str(exchange["status"]) not in ALWAYS:
            found.append("GitHub describes no such status")
    elif exchange["answer"] is not None and exchange["status"] < 300:
        schema = resolve(api, answer).get("content", {}).get("application/json", {}).get("schema")
        if schema is not None:
            found += problems(api, schema, exchange["answer"], whole=False, where="answer")
    return f"{method} {described}", found


def resolve(api, node):
    while "$ref" in node:
        target = api
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def problems(api, schema, value, whole, where):
    schema = as_json_schema(api, schema, whole, {})
    validator = jsonschema.Draft202012Validator(schema)
    return [f"{where}{error.json_path.removeprefix('$')}: {error.message[:200]}" for error in validator.iter_errors(value)]


def as_json_schema(api, node, whole, seen):
    """OpenAPI 3.0's dialect as JSON Schema: `nullable` is a type, and what is not described may not be there."""
    if isinstance(node, list):
        return [as_json_schema(api, item, whole, seen) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        # A schema within itself is not followed: nothing that is exchanged here is that deep.
        if seen.get(node["$ref"], 0) > 0:
            return {}
        return as_json_schema(api, resolve(api, node), whole, seen | {node["$ref"]: 1})
    made = {}
    for key, value in node.items():
        if key == "properties":
            made[key] = {name: as_json_schema(api, inner, whole, seen) for name, inner in value.items()}
        elif key in ("items", "additionalProperties", "not", "anyOf", "oneOf", "allOf"):
            # Without its required members a value may be of several kinds at once.
            made["anyOf" if key == "oneOf" and not whole else key] = as_json_schema(api, value, whole, seen)
        elif key == "required" and isinstance(value, list):
            if whole:
                made[key] = value
        elif key in ("type", "enum", "minimum", "maximum", "minLength", "maxLength", "pattern"):
            made[key] = value
    if made.get("type") == "object" and "properties" in made and not {"additionalProperties", "allOf", "anyOf"} & made.keys():
        made["additionalProperties"] = False
    return {"anyOf": [{"type": "null"}, made]} if node.get("nullable") else made


def find_planted_mistakes(api, patterns):
    """Refuses to vouch for anything if it does not see mistakes that are put there."""
    good = {"ref": "0" * 40, "environment": "staging", "auto_merge": False, "required_contexts": []}
    path = "POST /repos/org/shop/deployments"
    for name, request, is_mistaken in [
        (path, good, False),
        (path, good | {"enviroment": "staging"}, True),
        (path, good | {"auto_merge": "no"}, True),
        (path, {"environment": "staging"}, True),
        ("POST /repos/org/shop/deployment", good, True),
    ]:
        _, found = check(api, patterns, {"name": name, "request": request, "status": 201, "answer": None})
        if bool(found) != is_mistaken:
            sys.exit(f"github.py does not judge {name} {request} as it should: {found}")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
