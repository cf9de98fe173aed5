"""Checks a transcript of the simulated AWS against AWS's own API models, as botocore carries them.

    python models.py TRANSCRIPT

A transcript is JSON lines of {name, request, status, answer, raw}: `name` is the IAM action (`ecs:UpdateService`), `answer` is
JSON, `raw` the XML of a query service. Every request and every answer must have the members, types and enum values of the
model and nothing else, so that the simulation cannot drift into fiction. Lines of other services (GitHub, the registry, the
Docker engine) have no model here and are counted apart. Exits with 1 and one line per mistake.
"""

import base64
import json
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter

import botocore.loaders
import botocore.model
import botocore.parsers
import botocore.validate

# IAM's prefix of an action -> botocore's name of the service.
SERVICES = {
    "cloudwatch": "cloudwatch",
    "ecr": "ecr",
    "ecs": "ecs",
    "elasticloadbalancing": "elbv2",
    "iam": "iam",
    "logs": "logs",
    "rds": "rds",
    "secretsmanager": "secretsmanager",
    "ssm": "ssm",
    "sts": "sts",
    "tag": "resourcegroupstaggingapi",
}

# Errors that every operation can answer with, which the models therefore do not list.
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/CommonErrors.html
COMMON_ERRORS = {
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredTokenException",
    "InternalFailure",
    "InvalidClientTokenId",
    "MissingParameter",
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "Throttling",
    "ThrottlingException",
    "UnknownOperationException",
    "UnrecognizedClientException",
    "ValidationError",
    "ValidationException",
}

JSON_TYPES = {
    "string": str,
    "character": str,
    "blob": str,
    "integer": int,
    "long": int,
    "float": (int, float),
    "double": (int, float),
    # On the wire of JSON 1.1 a moment is seconds since the epoch.
    "timestamp": (int, float),
    "boolean": bool,
    "structure": dict,
    "map": dict,
    "list": list,
}


def main(path):
    find_planted_mistakes()
    checked, unmodelled, mistakes = Counter(), Counter(), []
    with open(path, encoding="utf-8") as transcript:
        for number, line in enumerate(transcript, 1):
            call = json.loads(line)
            if call["name"].split(":")[0] in SERVICES:
                checked[call["name"]] += 1
                mistakes += [f"{path}:{number}: {call['name']}: {mistake}" for mistake in check(call)]
            else:
                unmodelled[call["name"].split(" ")[0]] += 1
    for mistake in dict.fromkeys(mistakes):
        print(mistake)
    print(
        f"models: {checked.total()} calls of {len(checked)} operations checked against botocore {botocore.__version__}, "
        f"{unmodelled.total()} of other services not modelled, {len(mistakes)} mistakes"
    )
    if not checked:
        sys.exit("models: the transcript holds no call of a modelled service: nothing was checked")
    sys.exit(1 if mistakes else 0)


def check(call):
    """Every mistake of one call."""
    prefix, operation_name = call["name"].split(":", 1)
    model = service_model(SERVICES[prefix])
    if operation_name not in model.operation_names:
        return ["no such operation"]
    operation = model.operation_model(operation_name)
    is_query = model.metadata["protocol"] == "query"
    # What the simulation refused may have been refused because of the request's shape.
    if call["status"] >= 400:
        return error_mistakes(operation, call, is_query)
    if is_query:
        return query_request_mistakes(operation, call["request"]) + xml_answer_mistakes(operation, call.get("raw"))
    return json_request_mistakes(operation, call["request"]) + json_answer_mistakes(operation, call["answer"])


def json_request_mistakes(operation, request):
    shape = operation.input_shape
    if shape is None:
        return [] if not request else ["request: the operation has no parameters"]
    request = request or {}
    report = botocore.validate.ParamValidator().validate(request, shape)
    mistakes = [f"request: {line}" for line in report.generate_report().splitlines()]
    return mistakes + list(json_mistakes(shape, request, "request"))


def json_answer_mistakes(operation, answer):
    shape = operation.output_shape
    if shape is None:
        return [] if not answer else ["answer: the operation answers nothing"]
    if not isinstance(answer, dict):
        return [f"answer: {answer!r} is no object"]
    mistakes = list(json_mistakes(shape, answer, "answer"))
    if not mistakes:
        # What a client makes of it has the last word. A transcript holds JSON also where CBOR went over the wire.
        body = json.dumps(answer).encode()
        parser = botocore.parsers.create_parser("json")
        parser.parse({"status_code": 200, "headers": {}, "body": body}, shape)
    return mistakes


def json_mistakes(shape, value, path):
    """Walks a JSON value beside its shape."""
    kind = JSON_TYPES[shape.type_name]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        yield f"{path}: {json.dumps(value)} is not of type {shape.type_name}"
        return
    if shape.type_name == "structure":
        for name in value.keys() - shape.members.keys():
            yield f"{path}: unknown member {name} in {shape.name}"
        for name in shape.required_members:
            if name not in value:
                yield f"{path}: missing member {name} of {shape.name}"
        for name in value.keys() & shape.members.keys():
            yield from json_mistakes(shape.members[name], value[name], f"{path}.{name}")
    elif shape.type_name == "map":
        for key, item in value.items():
            yield from json_mistakes(shape.key, key, f"{path}.{key}")
            yield from json_mistakes(shape.value, item, f"{path}.{key}")
    elif shape.type_name == "list":
        for index, item in enumerate(value):
            yield from json_mistakes(shape.member, item, f"{path}[{index}]")
    else:
        yield from scalar_mistakes(shape, value, path)


def scalar_mistakes(shape, value, path):
    allowed = shape.metadata.get("enum")
    if allowed and value not in allowed:
        yield f"{path}: {value!r} is none of {shape.name}'s values: {', '.join(allowed)}"
    if shape.type_name == "blob":
        try:
            base64.b64decode(value, validate=True)
        except ValueError:
            yield f"{path}: {value!r} is not base64"


def query_request_mistakes(operation, request):
    """A query service's parameters: put together to the structure that was meant, then judged like any other."""
    parameters = {name: value for name, value in (request or {}).items() if name not in ("Action", "Version")}
    if operation.input_shape is None:
        return [f"request: unknown parameter {name}" for name in parameters]
    left = set(parameters)
    meant = assemble(operation.input_shape, "", parameters, left)
    mistakes = [f"request: unknown parameter {name}" for name in sorted(left)]
    report = botocore.validate.ParamValidator().validate(meant or {}, operation.input_shape)
    mistakes += [f"request: {line}" for line in report.generate_report().splitlines()]
    return mistakes + list(json_mistakes(operation.input_shape, meant or {}, "request"))


def assemble(shape, prefix, parameters, left):
    """The value of a shape whose parameters begin with `prefix`, `None` without any. Takes the names it used off `left`."""
    if shape.type_name == "structure":
        members = {}
        for name, member in shape.members.items():
            wire = member.serialization.get("name", name)
            value = assemble(member, f"{prefix}.{wire}" if prefix else wire, parameters, left)
            if value is not None:
                members[name] = value
        return members or None
    if shape.type_name == "list":
        if not shape.serialization.get("flattened"):
            prefix = f"{prefix}.{shape.member.serialization.get('name', 'member')}"
        items = []
        while (item := assemble(shape.member, f"{prefix}.{len(items) + 1}", parameters, left)) is not None:
            items.append(item)
        return items or None
    if prefix not in parameters:
        return None
    left.discard(prefix)
    text = parameters[prefix]
    if shape.type_name == "boolean":
        return {"true": True, "false": False}.get(text, text)
    if shape.type_name in ("integer", "long") and text.lstrip("-").isdigit():
        return int(text)
    return text


def xml_answer_mistakes(operation, raw):
    if raw is None:
        return ["answer: no XML"]
    root = ElementTree.fromstring(raw)
    if local(root) != f"{operation.name}Response":
        return [f"answer: <{local(root)}> instead of <{operation.name}Response>"]
    shape = operation.output_shape
    if shape is None:
        return []
    wrapper = shape.serialization.get("resultWrapper")
    results = [child for child in root if local(child) == wrapper]
    if not results:
        return [f"answer: no <{wrapper}>"]
    mistakes = list(xml_mistakes(shape, results[0], "answer"))
    if not mistakes:
        parser = botocore.parsers.create_parser("query")
        parser.parse({"status_code": 200, "headers": {}, "body": raw.encode()}, shape)
    return mistakes


def xml_mistakes(shape, element, path):
    """Walks an XML element beside its shape. The lists and scalars that our query services have; no maps, no attributes."""
    if shape.type_name == "structure":
        members = {member.serialization.get("name", name): member for name, member in shape.members.items()}
        present = {local(child) for child in element}
        for name in shape.required_members:
            if shape.members[name].serialization.get("name", name) not in present:
                yield f"{path}: missing member {name} of {shape.name}"
        for child in element:
            if local(child) in members:
                yield from xml_mistakes(members[local(child)], child, f"{path}.{local(child)}")
            else:
                yield f"{path}: unknown member {local(child)} in {shape.name}"
    elif shape.type_name == "list":
        for child in element:
            if local(child) != shape.member.serialization.get("name", "member"):
                yield f"{path}: <{local(child)}> in a list of {shape.member.name}"
            else:
                yield from xml_mistakes(shape.member, child, f"{path}[]")
    elif shape.type_name == "boolean" and element.text not in ("true", "false"):
        yield f"{path}: {element.text!r} is not of type boolean"
    elif shape.type_name in ("integer", "long") and not (element.text or "").lstrip("-").isdigit():
        yield f"{path}: {element.text!r} is not of type {shape.type_name}"
    else:
        yield from scalar_mistakes(shape, element.text or "", path)


def error_mistakes(operation, call, is_query):
    known = {shape.metadata.get("error", {}).get("code", shape.name) for shape in operation.error_shapes} | COMMON_ERRORS
    if is_query:
        code = error_code_of_xml(call.get("raw"))
    else:
        answer = call["answer"]
        code = answer.get("__type") if isinstance(answer, dict) else None
    if code is None:
        # A front end that is overloaded answers without a body that a client could read.
        return [] if call["status"] >= 500 else [f"answer: status {call['status']} without an error code"]
    code = code.split("#")[-1]
    return [] if code in known else [f"answer: {code} is no error of this operation: {', '.join(sorted(known))}"]


def error_code_of_xml(raw):
    if not raw:
        return None
    return next((element.text for element in ElementTree.fromstring(raw).iter() if local(element) == "Code"), None)


def local(element):
    return element.tag.rsplit("}", 1)[-1]


MODELS = {}


def service_model(name):
    if name not in MODELS:
        description = botocore.loaders.Loader().load_service_model(name, "service-2")
        MODELS[name] = botocore.model.ServiceModel(description, name)
    return MODELS[name]


def find_planted_mistakes():
    """A check that finds nothing may be blind: these mistakes must be found, and the good call must pass."""
    query = "<{0}Response><{0}Result>{1}</{0}Result></{0}Response>"
    planted = [
        (None, "ecs:DescribeServices", {"cluster": "c", "services": ["s"]}, {"services": [{"runningCount": 1}]}),
        ("no such operation", "ecs:DescribeService", {}, {}),
        ("Missing required parameter", "ecs:DescribeServices", {"cluster": "c"}, {}),
        ("Unknown parameter", "ecs:DescribeServices", {"services": ["s"], "service": "s"}, {}),
        ("none of LaunchType's values", "ecs:RunTask", {"taskDefinition": "t", "launchType": "LAMBDA"}, {}),
        ("unknown member deploymentId", "ecs:DescribeServices", {"services": []}, {"services": [{"deploymentId": "1"}]}),
        ("not of type integer", "ecs:DescribeServices", {"services": []}, {"services": [{"runningCount": "1"}]}),
        ("not of type timestamp", "ecs:DescribeServices", {"services": []}, {"services": [{"createdAt": "2026-01-01"}]}),
        ("not of type string", "ecs:DescribeServices", {"services": []}, {"services": [{"status": None}]}),
        ("unknown parameter Arn", "elasticloadbalancing:DescribeTargetHealth", {"TargetGroupArn": "a", "Arn": "b"},
         query.format("DescribeTargetHealth", "")),
        ("none of TargetHealthStateEnum's values", "elasticloadbalancing:DescribeTargetHealth", {"TargetGroupArn": "a"},
         query.format("DescribeTargetHealth", "<TargetHealthDescriptions><member><TargetHealth><State>fine</State>"
                      "</TargetHealth></member></TargetHealthDescriptions>")),
        ("unknown member Name", "sts:GetCallerIdentity", {}, query.format("GetCallerIdentity", "<Name>x</Name>")),
    ]
    for expected, name, request, answer in planted:
        raw = answer if isinstance(answer, str) else None
        call = {"name": name, "request": request, "status": 200, "answer": answer, "raw": raw}
        found = check(call)
        if (expected is None) != (not found) or not any((expected or "") in mistake for mistake in found or [""]):
            sys.exit(f"models: the check itself is broken: {call} should give {expected!r}, gave {found}")
    refused = {"name": "ecs:DescribeServices", "request": {}, "status": 400, "answer": {"__type": "NoSuchService"}}
    if not check(refused):
        sys.exit("models: the check itself is broken: an unknown error code passed")


if __name__ == "__main__":
    main(sys.argv[1])
