//! AWS's APIs as an emulator answers them, asked without an SDK.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// A twelve-digit access key is the account's number, for an emulator.
pub(crate) const ACCOUNT: &str = "111122223333";
pub(crate) const REGION: &str = "eu-west-1";

/// Where an emulator answers for all of AWS.
#[derive(Clone, Copy)]
pub(crate) struct AwsApi(pub(crate) &'static str);

impl AwsApi {
    /// A call of one of AWS's JSON services. `target` is the service's prefix and the operation.
    pub(crate) fn json(self, service: &str, target: &str, request: &Value) -> Result<Value> {
        let mut response = agent()
            .post(self.0)
            .header("authorization", authorization(service))
            .header("x-amz-target", target)
            .header("content-type", "application/x-amz-json-1.1")
            .send(request.to_string())
            .with_context(|| format!("{target} was not answered"))?;
        let body = response.body_mut().read_to_string()?;
        if !response.status().is_success() {
            bail!("{target} was refused: {body}");
        }
        serde_json::from_str(&body).with_context(|| format!("{target} answered something else than JSON: {body}"))
    }

    /// A call of Amazon ECS.
    pub(crate) fn ecs(self, operation: &str, request: &Value) -> Result<Value> {
        self.json("ecs", &format!("AmazonEC2ContainerServiceV20141113.{operation}"), request)
    }

    /// A call of Systems Manager.
    pub(crate) fn ssm(self, operation: &str, request: &Value) -> Result<Value> {
        self.json("ssm", &format!("AmazonSSM.{operation}"), request)
    }

    /// A call of Elastic Load Balancing, whose answer is the text of one XML element.
    pub(crate) fn elb(self, action: &str, parameters: &[(&str, &str)], element: &str) -> Result<String> {
        element_of(&self.query("elasticloadbalancing", "2015-12-01", action, parameters)?, element)
    }

    /// A call of IAM, whose answer is XML.
    pub(crate) fn iam(self, action: &str, parameters: &[(&str, &str)]) -> Result<String> {
        self.query("iam", "2010-05-08", action, parameters)
    }

    /// A call of RDS, whose answer is XML.
    pub(crate) fn rds(self, action: &str, parameters: &[(&str, &str)]) -> Result<String> {
        self.query("rds", "2014-10-31", action, parameters)
    }

    /// A call of CloudWatch, whose answer is XML.
    pub(crate) fn cloudwatch(self, action: &str, parameters: &[(&str, &str)]) -> Result<String> {
        self.query("monitoring", "2010-08-01", action, parameters)
    }

    /// A call of one of AWS's query services.
    fn query(self, service: &str, version: &str, action: &str, parameters: &[(&str, &str)]) -> Result<String> {
        let common = [("Action", action), ("Version", version)];
        let mut response = agent()
            .post(self.0)
            .header("authorization", authorization(service))
            .send_form(common.iter().chain(parameters).copied())
            .with_context(|| format!("{action} was not answered"))?;
        let body = response.body_mut().read_to_string()?;
        if response.status().is_success() { Ok(body) } else { bail!("{action} was refused: {body}") }
    }
}

/// The text of the first element of this name.
pub(crate) fn element_of(answer: &str, name: &str) -> Result<String> {
    elements_of(answer, name)
        .first()
        .map(|text| (*text).to_owned())
        .with_context(|| format!("there is no {name} in the answer: {answer}"))
}

/// The texts of all elements of this name.
pub(crate) fn elements_of<'a>(answer: &'a str, name: &str) -> Vec<&'a str> {
    let end = format!("</{name}>");
    answer.split(&format!("<{name}>")).skip(1).filter_map(move |rest| Some(rest.split_once(&end)?.0)).collect()
}

/// An agent that hands error answers over instead of taking them for failures of its own.
fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(30)))
        .build()
        .into()
}

/// Account, region and service, as emulators read them from the credential scope. That of an account's root needs no signature.
fn authorization(service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential={ACCOUNT}/20260101/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0"
    )
}
