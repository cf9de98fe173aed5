"""Sends the requests of a transcript to moto, another simulation of AWS that others wrote, and asks whether it takes them.

    python second_opinion.py TRANSCRIPT...

A transcript is what models.py reads: requests of the suite to the simulated world, with that world's answers. Every distinct
request is sent once more, byte for byte where the protocol is JSON or query, to a moto server in this process, in which stands
what the transcript tells of: clusters, services, task definitions, images, parameters, secrets, roles, log groups.
An answer that is an error which the operation's model declares is a matter of state; one that is none is a disagreement about
the wire, and so is an operation that moto knows and never accepts. Exits with 1 and one line per disagreement.
"""

import json
import logging
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter, defaultdict

os.environ["MOTO_ACCOUNT_ID"] = "111122223333"
for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
    os.environ[name] = "testing"

import boto3
import botocore.exceptions
import botocore.serialize
import moto
from moto.server import ThreadedMotoServer

from models import SERVICES, error_code_of_xml, service_model

REGION = "eu-west-1"

# What moto 5.2.5 does not do. An operation that it learns has to be taken off the list.
GAPS = {
    "ecr:GetDownloadUrlForLayer",
    "ecs:DescribeServiceDeployments",
    "ecs:DescribeServiceRevisions",
    "ecs:ListServiceDeployments",
    # Fails by itself where a container leaves its memory to the task.
    "ecs:RunTask",
    "ecs:StopServiceDeployment",
    "iam:SimulatePrincipalPolicy",
}


def main(paths):
    calls = [json.loads(line) for path in paths for line in open(path, encoding="utf-8")]
    calls = [call for call in calls if call["name"].split(":")[0] in SERVICES and call["status"] == 200]
    # The server says every request and every gap of its own on standard error.
    logging.disable(logging.CRITICAL)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    find_planted_mistakes(f"http://{host}:{port}")
    told, disagreements = replay(calls, f"http://{host}:{port}")
    server.stop()
    for operation in sorted(told):
        counts = ", ".join(f"{count} {word}" for word, count in sorted(told[operation].items()))
        print(f"  {operation:<44} {counts}")
    for operation in sorted(told):
        is_accepted = told[operation]["accepted"] > 0
        if operation in GAPS and is_accepted:
            disagreements.append(f"{operation}: moto takes it now: take it off the list of gaps")
        if operation not in GAPS and not is_accepted:
            disagreements.append(f"{operation}: moto accepted none of its requests")
    for disagreement in dict.fromkeys(disagreements):
        print(disagreement)
    gaps = sorted(GAPS & told.keys())
    print(
        f"second opinion: {sum(counts.total() for counts in told.values())} distinct requests of {len(told)} operations sent to "
        f"moto {moto.__version__}, {sum(counts['accepted'] for counts in told.values())} accepted, "
        f"{len(disagreements)} disagreements; not in moto: {', '.join(gaps) or 'none'}"
    )
    if not told:
        sys.exit("second opinion: the transcript holds no request that moto could answer: nothing was checked")
    sys.exit(1 if disagreements else 0)


def replay(calls, url):
    """What became of every distinct request, by operation and word, and what is wrong with the rest."""
    renamed = Setting(calls, url).renamed
    told, disagreements, seen = defaultdict(Counter), [], set()
    for call in calls:
        text = json.dumps(call["request"])
        for ours, motos in renamed.items():
            text = text.replace(ours, motos)
        if (call["name"], text) in seen:
            continue
        seen.add((call["name"], text))
        word, why = send(url, call["name"], json.loads(text))
        if word == "not taken" and call["name"] in GAPS:
            word = "not in moto"
        told[call["name"]][word] += 1
        if word == "not taken":
            disagreements.append(f"{call['name']}: {why}: {text[:300]}")
    return told, disagreements


def send(url, name, request):
    """Sends one request as it went over the wire; answers a word, and why if it was not accepted."""
    prefix, operation_name = name.split(":", 1)
    model = service_model(SERVICES[prefix])
    operation = model.operation_model(operation_name)
    path, headers, body = on_the_wire(model, operation, request)
    scope = f"testing/20260101/{REGION}/{model.signing_name}/aws4_request"
    headers["Authorization"] = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"
    try:
        with urllib.request.urlopen(urllib.request.Request(url + path, body, headers, method="POST")):
            return "accepted", None
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read().decode(errors="replace")
    code = error_code(text)
    declared = {shape.metadata.get("error", {}).get("code", shape.name) for shape in operation.error_shapes}
    declared |= {shape.name for shape in operation.error_shapes}
    if code in declared:
        return "refused for its state", code
    return "not taken", f"status {status}, {code or text[:200]!r}"


def on_the_wire(model, operation, request):
    """Path, headers and body of a request."""
    protocol = model.metadata["protocol"]
    if protocol == "json":
        version = model.metadata["jsonVersion"]
        target = f"{model.metadata['targetPrefix']}.{operation.name}"
        headers = {"Content-Type": f"application/x-amz-json-{version}", "X-Amz-Target": target}
        return "/", headers, json.dumps(request).encode()
    if protocol == "query":
        return "/", {"Content-Type": "application/x-www-form-urlencoded"}, urllib.parse.urlencode(request).encode()
    # CBOR went over the wire, which moto does not read: the same parameters in the protocol that the service had before.
    serialized = botocore.serialize.create_serializer("query").serialize_to_request(request, operation)
    return "/", dict(serialized["headers"]), urllib.parse.urlencode(serialized["body"]).encode()


def error_code(text):
    try:
        code = json.loads(text).get("__type")
    except ValueError:
        return error_code_of_xml(text) if text.startswith(("<?xml", "<ErrorResponse")) else None
    return code.split("#")[-1] if code else None


def find_planted_mistakes(url):
    """A check that takes everything may be blind: these requests must meet these words."""
    eleven = [str(number) for number in range(11)]
    for expected, name, request in [
        ("accepted", "ssm:GetParameters", {"Names": eleven[:10]}),
        ("not taken", "ssm:GetParameters", {"Names": eleven}),
        ("not taken", "ssm:PutParameter", {"Name": "/planted", "Value": "v", "Type": "Text"}),
        ("not taken", "ecs:RegisterTaskDefinition", {}),
        ("refused for its state", "ecs:UpdateService", {"cluster": "planted", "service": "planted"}),
        ("refused for its state", "iam:GetRole", {"Action": "GetRole", "Version": "2010-05-08", "RoleName": "planted"}),
    ]:
        word, why = send(url, name, request)
        if word != expected:
            sys.exit(f"second opinion: the check itself is broken: {name} {request} should be {expected}, is {word} ({why})")


class Setting:
    """What stands in moto before the first request, as the transcript's answers tell of it."""

    def __init__(self, calls, url):
        self.calls, self.url = calls, url
        # ARNs of the simulated world, and the ARNs that moto made for the same things.
        self.renamed = {}
        self.clusters_and_services()
        self.images()
        for name in self.texts("iam:GetRole", "RoleName"):
            self.make("iam", "create_role", RoleName=name, AssumeRolePolicyDocument="{}")
        for name in self.texts("logs:DescribeLogGroups", "logGroupNamePrefix"):
            self.make("logs", "create_log_group", logGroupName=name)
        for call in (call for call in calls if call["name"] == "logs:GetLogEvents"):
            stream = {name: call["request"][name] for name in ("logGroupName", "logStreamName")}
            self.make("logs", "create_log_group", logGroupName=stream["logGroupName"])
            self.make("logs", "create_log_stream", **stream)
        for answer in self.answers("ssm:GetParameters"):
            for found in answer.get("Parameters", []):
                self.make("ssm", "put_parameter", Name=found["Name"], Value="x", Type=found["Type"])
        for answer in self.answers("secretsmanager:DescribeSecret"):
            made = self.make("secretsmanager", "create_secret", Name=answer["Name"], SecretString='{"password":"x"}')
            self.rename(answer["ARN"], made and made["ARN"])

    def clusters_and_services(self):
        definitions = {}
        for answer in self.answers("ecs:DescribeTaskDefinition"):
            definitions[answer["taskDefinition"]["taskDefinitionArn"]] = answer["taskDefinition"]
        for answer in self.answers("ecs:RegisterTaskDefinition"):
            definitions.pop(answer["taskDefinition"]["taskDefinitionArn"], None)
        inputs = service_model("ecs").operation_model("RegisterTaskDefinition").input_shape.members
        for definition in sorted(definitions.values(), key=lambda one: (one["family"], one["revision"])):
            self.make("ecs", "register_task_definition", **{k: v for k, v in definition.items() if k in inputs})
        seen = set()
        for service in (one for answer in self.answers("ecs:DescribeServices") for one in answer["services"]):
            if service["serviceArn"] in seen:
                continue
            seen.add(service["serviceArn"])
            cluster = service["clusterArn"].split("/")[-1]
            self.make("ecs", "create_cluster", clusterName=cluster)
            for balancer in service.get("loadBalancers", []):
                self.target_group(balancer["targetGroupArn"])
            self.make(
                "ecs", "create_service", cluster=cluster, serviceName=service["serviceName"],
                taskDefinition=service["taskDefinition"].split("/")[-1], desiredCount=service["desiredCount"],
            )

    def target_group(self, arn):
        name = arn.split("/")[-2][:32]
        network = boto3.client("ec2", endpoint_url=self.url, region_name=REGION).describe_vpcs()["Vpcs"][0]["VpcId"]
        made = self.make(
            "elbv2", "create_target_group", Name=name, Protocol="HTTP", Port=80, VpcId=network, TargetType="ip"
        )
        self.rename(arn, made and made["TargetGroups"][0]["TargetGroupArn"])

    def images(self):
        for answer in self.answers("ecr:DescribeRepositories"):
            for repository in answer["repositories"]:
                self.make("ecr", "create_repository", repositoryName=repository["repositoryName"])
        for answer in self.answers("ecr:DescribeImages"):
            for image in answer["imageDetails"]:
                manifest = {
                    "schemaVersion": 2,
                    "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "config": {"digest": image["imageDigest"]},
                    "layers": [],
                }
                for tag in image.get("imageTags", []):
                    self.make(
                        "ecr", "put_image", repositoryName=image["repositoryName"], imageTag=tag,
                        imageManifest=json.dumps(manifest),
                    )

    def answers(self, name):
        return [call["answer"] for call in self.calls if call["name"] == name]

    def texts(self, name, member):
        return {call["request"][member] for call in self.calls if call["name"] == name and member in call["request"]}

    def rename(self, ours, motos):
        if motos:
            self.renamed[ours] = motos

    def make(self, service, operation, **members):
        """Makes something; what is there already stays."""
        client = boto3.client(service, endpoint_url=self.url, region_name=REGION)
        try:
            return getattr(client, operation)(**members)
        except botocore.exceptions.ClientError as error:
            if "Exist" not in error.response["Error"]["Code"] and "Duplicate" not in error.response["Error"]["Code"]:
                sys.exit(f"second opinion: {service} {operation} of what the world answered: {error}")
            return None


if __name__ == "__main__":
    main(sys.argv[1:])
