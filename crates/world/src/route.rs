//! Which part of the world a request is for, and how that part says no.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};

use crate::calls::{Call, Fault};
use crate::state::State;
use crate::wire::{self, Refusal};
use crate::{docker, ecr, ecs, elb, github, logs, oidc, registry, ssm, sts, traffic};

/// Which of the world's parts a request is for.
pub(crate) enum Route {
    /// AWS JSON 1.1: the service's IAM prefix and the operation.
    Json(&'static str, String),
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
                "Logs_20140328" => "logs",
                _ => "unknown",
            };
            return Self::Json(service, operation.to_owned());
        }
        let path = request.uri().path();
        if path.starts_with("/v2/") || path == "/v2" {
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
            let service = if parameters.get("Version").is_some_and(|version| version == "2015-12-01") {
                "elasticloadbalancing"
            } else {
                "sts"
            };
            Self::Query(service, action, parameters)
        }
    }

    /// The call's name, see [`Call::name`].
    pub(crate) fn name(&self, request: &Request<Bytes>) -> String {
        let (method, path) = (request.method(), request.uri().path());
        match self {
            Self::Json(service, operation) | Self::Query(service, operation, _) => format!("{service}:{operation}"),
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
                    "logs" => logs::answer(state, operation, &body),
                    _ => Err(Refusal::new("UnknownOperationException", "no such service in this world")),
                })
            }
            Self::Query(service, action, parameters) => match *service {
                "elasticloadbalancing" => {
                    wire::aws_query(action, elb::NAMESPACE, elb::answer(state, action, parameters))
                }
                _ => wire::aws_query(action, sts::NAMESPACE, sts::answer(state, action, parameters)),
            },
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
            (Fault::Unavailable | Fault::AnswerLost, _) => {
                wire::respond(StatusCode::SERVICE_UNAVAILABLE, "text/plain", "unavailable")
            }
            (Fault::Throttled, Self::Json(..)) => {
                wire::aws_json(Err(Refusal::new("ThrottlingException", "Rate exceeded")))
            }
            (Fault::Denied, Self::Json(..)) => wire::aws_json(Err(Refusal::new("AccessDeniedException", denied))),
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
        let parse = |bytes: &Bytes| serde_json::from_slice(bytes).unwrap_or(Value::Null);
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
    if service == "elasticloadbalancing" { elb::NAMESPACE } else { sts::NAMESPACE }
}
