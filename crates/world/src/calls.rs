//! The record of every request that reached the world, and the faults that were scripted for the next ones.

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::wildcard;

/// A request that reached the world.
#[derive(Clone, Debug)]
pub struct Call {
    /// The API and its operation, as IAM writes it (`ecs:UpdateService`); for GitHub, the registry and services, method and
    /// path (`POST /repos/o/r/deployments`); for the Docker engine `docker:POST /build`.
    pub name: String,
    /// The request's body, `Null` where it had none that is JSON. The parameters of a query service as an object of texts.
    pub body: Value,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The answer's body, `Null` where it is not JSON.
    pub answer: Value,
    /// The answer's body as text, where it is XML.
    pub raw: Option<String>,
}

impl Call {
    /// Whether the call asked for something to be changed. Derived from the verb, as IAM's access levels are.
    pub fn is_write(&self) -> bool {
        let readers =
            ["Describe", "List", "Get", "BatchGet", "BatchCheck", "Filter", "Simulate", "AssumeRole", "GET ", "HEAD "];
        let is_read = |operation: &str| readers.iter().any(|reader| operation.starts_with(reader));
        // A path may hold a colon (`/v2/app/manifests/sha256:…`), so that what follows the first one need not be a verb.
        !is_read(&self.name) && !self.name.split_once(':').is_some_and(|(_, operation)| is_read(operation))
    }

    /// The call as one line of a transcript.
    pub(crate) fn line(&self) -> String {
        let mut line = json!({
            "name": self.name,
            "request": self.body,
            "status": self.status,
            "answer": self.answer,
        });
        if let Some(raw) = &self.raw {
            line["raw"] = json!(raw);
        }
        line.to_string()
    }
}

/// What a scripted call meets instead of the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `ThrottlingException`, HTTP 400, as ECS throttles.
    Throttled,
    /// `AccessDeniedException`, naming the action.
    Denied,
    /// An HTTP 503 without a usable body.
    Unavailable,
    /// The request is carried out, and its answer is lost: the connection closes.
    AnswerLost,
    /// The request is carried out, and its answer breaks off half-way, as that of a server that dies. Over a connection alone.
    CutOff,
    /// The connection closes, and nothing was carried out: what ECR does to an upload to a repository that is not there.
    Closed,
    /// This answer, and nothing is carried out.
    Answer {
        /// Its status.
        status: u16,
        /// Its headers.
        headers: Vec<(&'static str, &'static str)>,
        /// Its body.
        body: &'static str,
    },
}

impl Fault {
    /// An answer without a header of its own.
    pub fn answer(status: u16, body: &'static str) -> Self {
        Self::Answer { status, headers: Vec::new(), body }
    }
}

/// Faults that wait for their calls: the first match by name is used up. A `*` in a name stands for any text.
#[derive(Debug, Default)]
pub(crate) struct Faults(VecDeque<(String, Fault)>);

impl Faults {
    pub(crate) fn script(&mut self, call: &str, fault: Fault, times: usize) {
        for _ in 0..times {
            self.0.push_back((call.to_owned(), fault.clone()));
        }
    }

    pub(crate) fn take(&mut self, call: &str) -> Option<Fault> {
        let index = self.0.iter().position(|(name, _)| wildcard::matches(name, call))?;
        self.0.remove(index).map(|(_, fault)| fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_asks_for_a_change_is_a_write() {
        for (name, is_write) in [
            ("ecs:UpdateService", true),
            ("ecs:DescribeServices", false),
            ("logs:FilterLogEvents", false),
            ("sts:AssumeRoleWithWebIdentity", false),
            ("iam:SimulatePrincipalPolicy", false),
            ("secretsmanager:UpdateSecretVersionStage", true),
            ("GET /v2/app/blobs/sha256:0a", false),
            ("PUT /v2/app/manifests/sha256:0a", true),
            ("docker:POST /build", true),
            ("docker:GET /images/app/json", false),
        ] {
            let call = Call { name: name.to_owned(), body: Value::Null, status: 200, answer: Value::Null, raw: None };
            assert_eq!(call.is_write(), is_write, "{name}");
        }
    }

    #[test]
    fn a_fault_meets_its_call_as_often_as_it_was_scripted() {
        let mut faults = Faults::default();
        faults.script("ecs:RunTask", Fault::Throttled, 2);
        assert_eq!(faults.take("ecs:StopTask"), None);
        assert_eq!(faults.take("ecs:RunTask"), Some(Fault::Throttled));
        assert_eq!(faults.take("ecs:RunTask"), Some(Fault::Throttled));
        assert_eq!(faults.take("ecs:RunTask"), None);
    }
}
