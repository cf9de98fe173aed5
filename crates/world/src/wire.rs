//! How requests are read from, and answers and refusals written on, the wire: AWS JSON 1.1, AWS Query (XML), Smithy RPC
//! (CBOR), plain JSON.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cbor;

/// A service's modelled "no": an error code of its API with the message that a caller sees.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Refusal {
    /// A client error (HTTP 400), which is what AWS's JSON services answer for nearly everything.
    pub(crate) fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code: code.into(), message: message.into() }
    }

    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }
}

/// An answer in AWS JSON 1.1, as ECS, ECR, SSM, Secrets Manager and CloudWatch Logs speak it.
pub(crate) fn aws_json(answer: Result<Value, Refusal>) -> Response<Bytes> {
    match answer {
        Ok(value) => respond(StatusCode::OK, "application/x-amz-json-1.1", value.to_string()),
        Err(refusal) => {
            let body = json!({ "__type": refusal.code, "message": refusal.message });
            respond(refusal.status, "application/x-amz-json-1.1", body.to_string())
        }
    }
}

/// An answer in Smithy's RPC protocol over CBOR, as CloudWatch speaks it to today's SDKs.
/// <https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html>
pub(crate) fn rpc_v2_cbor(answer: Result<Value, Refusal>) -> Response<Bytes> {
    let (status, body, code) = match answer {
        Ok(value) => (StatusCode::OK, value, None),
        Err(Refusal { status, code, message }) => (status, json!({ "__type": code, "message": message }), Some(code)),
    };
    let mut response = match cbor::write(&body) {
        Ok(body) => respond(status, "application/cbor", body),
        Err(error) => respond(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", error.to_string()),
    };
    response.headers_mut().insert("smithy-protocol", HeaderValue::from_static("rpc-v2-cbor"));
    // For services that spoke Query once: the code that they had there.
    if let Some(code) = code.and_then(|code| HeaderValue::from_str(&format!("{code};Sender")).ok()) {
        response.headers_mut().insert("x-amzn-query-error", code);
    }
    response
}

/// An answer in the AWS Query protocol (XML), as Elastic Load Balancing, IAM and STS speak it. `result` is the
/// inside of `<ActionResult>`, already escaped.
pub(crate) fn aws_query(action: &str, namespace: &str, answer: Result<String, Refusal>) -> Response<Bytes> {
    match answer {
        Ok(result) => respond(
            StatusCode::OK,
            "text/xml",
            format!(
                "<{action}Response xmlns=\"{namespace}\"><{action}Result>{result}</{action}Result>\
                 <ResponseMetadata><RequestId>world</RequestId></ResponseMetadata></{action}Response>"
            ),
        ),
        Err(refusal) => respond(
            refusal.status,
            "text/xml",
            format!(
                "<ErrorResponse xmlns=\"{namespace}\"><Error><Type>Sender</Type><Code>{}</Code><Message>{}</Message></Error>\
                 <RequestId>world</RequestId></ErrorResponse>",
                xml(&refusal.code),
                xml(&refusal.message)
            ),
        ),
    }
}

/// A plain response.
pub(crate) fn respond(status: StatusCode, content_type: &str, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    if let Ok(value) = content_type.parse() {
        response.headers_mut().insert(http::header::CONTENT_TYPE, value);
    }
    response
}

/// A response that a test wrote down.
pub(crate) fn scripted(status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> Response<Bytes> {
    let mut response = respond(StatusCode::from_u16(status).unwrap_or_default(), "application/json", body);
    for (name, value) in headers {
        response.headers_mut().insert(*name, HeaderValue::from_static(value));
    }
    response
}

/// A JSON response, as GitHub answers.
pub(crate) fn json_response(status: StatusCode, body: &Value) -> Response<Bytes> {
    respond(status, "application/json; charset=utf-8", body.to_string())
}

/// The fields of an HTML form, as the AWS Query protocol sends its parameters. The last of several equal names wins.
pub(crate) fn form(body: &[u8]) -> BTreeMap<String, String> {
    form_urlencoded::parse(body).into_owned().collect()
}

/// A list in the Query protocol: `Names.member.1`, `Names.member.2`, …
pub(crate) fn members<'a>(parameters: &'a BTreeMap<String, String>, list: &str) -> Vec<&'a str> {
    (1..).map_while(|index| parameters.get(&format!("{list}.member.{index}")).map(String::as_str)).collect()
}

/// The fields of a request's query string, in order, names repeated as they were sent.
pub(crate) fn query(request: &Request<Bytes>) -> Vec<(String, String)> {
    form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).into_owned().collect()
}

/// Scheme and authority that the client used to reach the world, for the absolute URLs in answers.
pub(crate) fn base(request: &Request<Bytes>) -> String {
    let uri = request.uri();
    if let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) {
        return format!("{scheme}://{authority}");
    }
    let host = request.headers().get(http::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1");
    format!("http://{host}")
}

/// One page of a listing by AWS's rules: at most `size` items, and the token of the next page if there is one.
/// `None` if the token is none of ours.
pub(crate) fn page(items: Vec<Value>, size: usize, token: Option<&str>) -> Option<(Vec<Value>, Option<String>)> {
    let start: usize = match token {
        None => 0,
        Some(token) => String::from_utf8(STANDARD.decode(token).ok()?).ok()?.parse().ok()?,
    };
    let end = start.saturating_add(size.max(1));
    let next = (end < items.len()).then(|| STANDARD.encode(end.to_string()));
    Some((items.into_iter().skip(start).take(size.max(1)).collect(), next))
}

/// A moment as AWS JSON writes it: seconds since the epoch, with milliseconds.
pub(crate) fn epoch(moment: Timestamp) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this century fit a double exactly")]
    let seconds = moment.as_millisecond() as f64 / 1000.0;
    json!(seconds)
}

/// Escapes text for XML.
pub(crate) fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_with_its_escapes() {
        let form = form(b"Action=AssumeRole&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fx+y&Empty=");
        assert_eq!(form["RoleArn"], "arn:aws:iam::1:role/x y");
        assert_eq!(form["Empty"], "");
    }

    #[test]
    fn a_listing_is_paged_to_its_end() {
        let items: Vec<Value> = (0..5).map(Value::from).collect();
        let (first, token) = page(items.clone(), 3, None).unwrap();
        let (second, end) = page(items.clone(), 3, token.as_deref()).unwrap();
        assert_eq!((first.len(), second.len(), end), (3, 2, None));
        assert_eq!(page(items, 3, Some("no token of ours")), None);
    }
}
