//! Which part of the world a request is for, and how that part says no.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};

use crate::calls::{Call, Fault};
use crate::state::State;
use crate::wire::{self, Refusal};
use crate::{
    cbor, cloudwatch, docker, ecr, ecs, elb, github, iam, logs, oidc, rds, registry, secretsmanager, ssm, sts, tagging,
    traffic,
};

/// Which of the world's parts a request is for.
pub(crate) enum Route {
    /// AWS JSON: the service's IAM prefix and the operation.
    Json(&'static str, String),
    /// Smithy's RPC over CBOR: the service's IAM prefix and the operation.
    Cbor(&'static str, String),
    /// AWS Query: the service's IAM prefix, the operation and its parameters.
    Query(&'static str, String, BTreeMap<String, String>),
    Registry,
    GitHub,
    Oidc,
    /// A request from outside to a service that runs in the world.
    Traffic,
    Docker,
}

impl Route {
    /// The part that a request over the network is for.
    pub(crate) fn of(request: &Request<Bytes>) -> Self {
        if let Some(target) = request.headers().get("x-amz-target").and_then(|value| value.to_str().ok())
            && let Some((prefix, operation)) = target.split_once('.')
        {
            let service = match prefix {
                "AmazonEC2ContainerServiceV20141113" => "ecs",
                "AmazonEC2ContainerRegistry_V20150921" => "ecr",
                "AmazonSSM" => "ssm",
                // Some SDKs speak JSON to it, others CBOR.
                "GraniteServiceVersion20100801" => "cloudwatch",
                "secretsmanager" => "secretsmanager",
                "Logs_20140328" => "logs",
                // By the name that IAM knows it by.
                "ResourceGroupsTaggingAPI_20170126" => "tag",
                _ => "unknown",
            };
            return Self::Json(service, operation.to_owned());
        }
        let path = request.uri().path();
        if let Some(operation) = path.strip_prefix("/service/GraniteServiceVersion20100801/operation/") {
            Self::Cbor("cloudwatch", operation.to_owned())
        } else if path.starts_with("/v2/") || path == "/v2" || path.starts_with(registry::LAYERS) {
            Self::Registry
        } else if path.starts_with(github::PREFIX) {
            Self::GitHub
        } else if path.starts_with("/_oidc") {
            Self::Oidc
        } else if path.starts_with("/_service/") {
            Self::Traffic
        } else {
            let parameters = wire::form(request.body());
            let action = parameters.get("Action").cloned().unwrap_or_default();
            let service = match parameters.get("Version").map(String::as_str) {
                Some("2015-12-01") => "elasticloadbalancing",
                Some("2010-05-08") => "iam",
                Some("2014-10-31") => "rds",
                _ => "sts",
            };
            Self::Query(service, action, parameters)
        }
    }

    /// The call's name, see [`Call::name`].
    pub(crate) fn name(&self, request: &Request<Bytes>) -> String {
        let (method, path) = (request.method(), request.uri().path());
        match self {
            Self::Json(service, operation) | Self::Cbor(service, operation) | Self::Query(service, operation, _) => {
                format!("{service}:{operation}")
            }
            Self::GitHub => format!("{method} {}", path.strip_prefix(github::PREFIX).unwrap_or(path)),
            Self::Registry | Self::Oidc | Self::Traffic => format!("{method} {path}"),
            Self::Docker => format!("docker:{method} {}", docker::unversioned(path)),
        }
    }

    pub(crate) fn answer(&self, state: &mut State, request: &Request<Bytes>) -> Response<Bytes> {
        match self {
            Self::Json(service, operation) => {
                let body: Value = serde_json::from_slice(request.body()).unwrap_or(Value::Null);
                wire::aws_json(match *service {
                    "ecs" => ecs::answer(state, operation, &body),
                    "ecr" => ecr::answer(state, operation, &body),
                    "ssm" => ssm::answer(state, operation, &body),
                    "cloudwatch" => cloudwatch::answer(state, operation, &body),
                    "secretsmanager" => secretsmanager::answer(state, operation, &body),
                    "logs" => logs::answer(state, operation, &body),
                    "tag" => tagging::answer(state, operation, &body),
                    _ => Err(Refusal::new("UnknownOperationException", "no such service in this world")),
                })
            }
            Self::Cbor(_, operation) => wire::rpc_v2_cbor(match cbor::read(request.body()) {
                Ok(body) => cloudwatch::answer(state, operation, &body),
                Err(error) => Err(Refusal::new("SerializationException", error.to_string())),
            }),
            Self::Query(service, action, parameters) => {
                let answer = match *service {
                    "elasticloadbalancing" => elb::answer(state, action, parameters),
                    "iam" => iam::answer(state, action, parameters),
                    "rds" => rds::answer(state, action, parameters),
                    _ => sts::answer(state, action, parameters),
                };
                wire::aws_query(action, namespace(service), answer)
            }
            Self::Registry => registry::answer(state, request),
            Self::GitHub => github::answer(state, request),
            Self::Oidc => oidc::answer(state, request),
            Self::Traffic => traffic::answer(state, request),
            Self::Docker => docker::answer(state, request),
        }
    }

    /// The fault as this part of the world puts it. A lost answer is none: the request is carried out first.
    pub(crate) fn refuse(&self, fault: &Fault, call: &str, account: &str) -> Response<Bytes> {
        let denied =
            format!("User: arn:aws:sts::{account}:assumed-role/deliver/run is not authorized to perform: {call}");
        match (fault, self) {
            (Fault::Answer { status, headers, body }, _) => wire::scripted(*status, headers, body),
            (Fault::Unavailable | Fault::AnswerLost | Fault::CutOff | Fault::Closed, _) => {
                wire::respond(StatusCode::SERVICE_UNAVAILABLE, "text/plain", "unavailable")
            }
            (Fault::Throttled, Self::Json(..)) => {
                wire::aws_json(Err(Refusal::new("ThrottlingException", "Rate exceeded")))
            }
            (Fault::Denied, Self::Json(..)) => wire::aws_json(Err(Refusal::new("AccessDeniedException", denied))),
            (Fault::Throttled, Self::Cbor(..)) => {
                wire::rpc_v2_cbor(Err(Refusal::new("ThrottlingException", "Rate exceeded")))
            }
            (Fault::Denied, Self::Cbor(..)) => {
                let refusal = Refusal::new("AccessDeniedException", denied).with_status(StatusCode::FORBIDDEN);
                wire::rpc_v2_cbor(Err(refusal))
            }
            (Fault::Throttled, Self::Query(service, action, _)) => {
                wire::aws_query(action, namespace(service), Err(Refusal::new("Throttling", "Rate exceeded")))
            }
            (Fault::Denied, Self::Query(service, action, _)) => {
                let refusal = Refusal::new("AccessDenied", denied).with_status(StatusCode::FORBIDDEN);
                wire::aws_query(action, namespace(service), Err(refusal))
            }
            (Fault::Throttled, Self::Registry) => {
                registry::refuse(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", "Rate exceeded")
            }
            (Fault::Denied, Self::Registry) => registry::refuse(StatusCode::FORBIDDEN, "DENIED", &denied),
            (Fault::Throttled, _) => {
                let message =
                    "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
                wire::json_response(StatusCode::TOO_MANY_REQUESTS, &json!({ "message": message }))
            }
            (Fault::Denied, _) => {
                let message = "Resource not accessible by integration";
                wire::json_response(StatusCode::FORBIDDEN, &json!({ "message": message }))
            }
        }
    }

    /// The record of a call and its answer.
    pub(crate) fn record(&self, name: String, request: &Request<Bytes>, response: &Response<Bytes>) -> Call {
        let parse = |bytes: &Bytes| match self {
            Self::Cbor(..) => cbor::read(bytes).unwrap_or(Value::Null),
            _ => serde_json::from_slice(bytes).unwrap_or(Value::Null),
        };
        let (body, raw) = match self {
            Self::Query(_, _, parameters) => {
                (json!(parameters), Some(String::from_utf8_lossy(response.body()).into_owned()))
            }
            _ => (parse(request.body()), None),
        };
        Call { name, body, status: response.status().as_u16(), answer: parse(response.body()), raw }
    }
}

fn namespace(service: &str) -> &'static str {
    match service {
        "elasticloadbalancing" => elb::NAMESPACE,
        "iam" => iam::NAMESPACE,
        "rds" => rds::NAMESPACE,
        _ => sts::NAMESPACE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::World;

    fn describe_alarms(world: &World, body: &Value) -> (u16, Value) {
        let request =
            Request::post("https://monitoring/service/GraniteServiceVersion20100801/operation/DescribeAlarms")
                .header("smithy-protocol", "rpc-v2-cbor")
                .body(cbor::write(body).unwrap())
                .unwrap();
        let response = world.answer(&request).unwrap();
        assert_eq!(response.headers()["smithy-protocol"], "rpc-v2-cbor");
        (response.status().as_u16(), cbor::read(response.body()).unwrap())
    }

    #[test]
    fn cloudwatch_is_asked_and_recorded_over_cbor() {
        let world = World::new();
        world.set_alarm("errors", "ALARM");
        let (status, answer) = describe_alarms(&world, &json!({ "AlarmNames": ["errors"] }));
        assert_eq!((status, &answer["MetricAlarms"][0]["StateValue"]), (200, &json!("ALARM")));
        world.script("cloudwatch:DescribeAlarms", Fault::Denied, 1);
        let (status, answer) = describe_alarms(&world, &json!({}));
        assert_eq!((status, &answer["__type"]), (403, &json!("AccessDeniedException")));
        let calls = world.calls();
        assert_eq!(
            (calls[0].name.as_str(), &calls[0].body["AlarmNames"][0]),
            ("cloudwatch:DescribeAlarms", &json!("errors"))
        );
        assert!(world.writes().is_empty());
    }

    #[test]
    fn a_query_is_for_the_service_of_its_version() {
        for (version, expected) in [
            ("2010-05-08", "iam:X"),
            ("2014-10-31", "rds:X"),
            ("2015-12-01", "elasticloadbalancing:X"),
            ("2011-06-15", "sts:X"),
        ] {
            let body = Bytes::from(format!("Action=X&Version={version}"));
            let request = Request::post("https://aws/").body(body).unwrap();
            assert_eq!(Route::of(&request).name(&request), expected);
        }
    }
}
