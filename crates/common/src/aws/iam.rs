//! Identity and Access Management: whether roles exist, and what they may do.

use aws_config::SdkConfig;
use aws_sdk_iam::operation::get_role::GetRoleError;
use aws_sdk_iam::types::EvaluationResult;

use super::refusal::failure;
use crate::failure::Failure;

/// The IAM API.
#[derive(Clone, Debug)]
pub struct Iam(aws_sdk_iam::Client);

/// Something that a role may not do, as far as a simulation can tell.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Denial {
    /// The action, as IAM writes it.
    pub action: String,
    /// The resource's ARN.
    pub resource: String,
    /// AWS's word: `implicitDeny` (no policy of the role allows it; the resource's own policy may) or `explicitDeny`.
    pub decision: String,
    /// What the decision depends on and a simulation cannot know: the context keys of conditions.
    pub depends_on: Vec<String>,
}

impl Iam {
    pub(super) fn new(config: &SdkConfig) -> Self {
        Self(aws_sdk_iam::Client::new(config))
    }

    /// `iam:GetRole`, by ARN or name: the ARN of the role. `None` if this account has no such role, or has it at another path:
    /// what is written in a task definition is what ECS assumes.
    pub async fn get_role(&self, role: &str) -> Result<Option<String>, Failure> {
        let name = role.rsplit('/').next().unwrap_or(role);
        match self.0.get_role().role_name(name).send().await {
            Ok(answer) => {
                let arn = answer.role().map(|role| role.arn().to_owned());
                Ok(arn.filter(|arn| !role.starts_with("arn:") || arn == role))
            }
            Err(error) if error.as_service_error().is_some_and(GetRoleError::is_no_such_entity_exception) => Ok(None),
            Err(error) => Err(failure("iam:GetRole", format!("look up role `{role}`"), error)),
        }
    }

    /// `iam:SimulatePrincipalPolicy`: which of these actions the role may not do on which of these resources. Policies of the
    /// resources themselves are not part of a simulation.
    pub async fn denied(&self, role_arn: &str, actions: &[&str], resources: &[String]) -> Result<Vec<Denial>, Failure> {
        if actions.is_empty() || resources.is_empty() {
            return Ok(Vec::new());
        }
        let request = self.0.simulate_principal_policy().policy_source_arn(role_arn);
        let request = request.set_action_names(Some(actions.iter().map(|&action| action.to_owned()).collect()));
        let mut pages = request.set_resource_arns(Some(resources.to_vec())).into_paginator().send();
        let mut denials = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| {
                let doing = format!("ask whether role `{role_arn}` may `{}`", actions.join("`, `"));
                failure("iam:SimulatePrincipalPolicy", doing, error)
            })?;
            denials.extend(page.evaluation_results().iter().flat_map(|result| denials_of(result, resources)));
        }
        Ok(denials)
    }
}

/// The denials within one result. AWS once gave a result for every resource, and gives one for every action today, with the
/// resources inside
/// (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_EvaluationResult.html>).
fn denials_of(result: &EvaluationResult, resources: &[String]) -> Vec<Denial> {
    let denial = |resource: &str, decision: &str, missing: &[String]| {
        (decision != "allowed").then(|| Denial {
            action: result.eval_action_name().to_owned(),
            resource: resource.to_owned(),
            decision: decision.to_owned(),
            depends_on: missing.to_vec(),
        })
    };
    let inner = result.resource_specific_results();
    if !inner.is_empty() {
        let denials = inner.iter().filter_map(|inner| {
            let decision = inner.eval_resource_decision().as_str();
            denial(inner.eval_resource_name(), decision, inner.missing_context_values())
        });
        return denials.collect();
    }
    // A result that names none of the resources is about all of them.
    let named = result.eval_resource_name().filter(|name| resources.iter().any(|resource| resource == name));
    let about: Vec<&str> = named.map_or_else(|| resources.iter().map(String::as_str).collect(), |name| vec![name]);
    let (decision, missing) = (result.eval_decision().as_str(), result.missing_context_values());
    about.into_iter().filter_map(|resource| denial(resource, decision, missing)).collect()
}

#[cfg(test)]
mod tests {
    use aws_sdk_iam::types::{PolicyEvaluationDecisionType as Decision, ResourceSpecificResult};

    use super::*;

    fn result(name: &str, decision: Decision, inner: &[(&str, Decision)]) -> EvaluationResult {
        let inner = inner.iter().map(|(name, decision)| {
            let inner = ResourceSpecificResult::builder().eval_resource_name(*name);
            inner.eval_resource_decision(decision.clone()).build().unwrap()
        });
        let result = EvaluationResult::builder().eval_action_name("ssm:GetParameters").eval_resource_name(name);
        result.eval_decision(decision).set_resource_specific_results(Some(inner.collect())).build().unwrap()
    }

    #[test]
    fn a_denial_names_the_resource_in_the_old_form_of_results_and_in_the_new() {
        let resources = ["arn:a".to_owned(), "arn:b".to_owned()];
        let check = |result: EvaluationResult| -> Vec<String> {
            denials_of(&result, &resources).into_iter().map(|denial| denial.resource).collect()
        };
        let (yes, no) = (Decision::Allowed, Decision::ImplicitDeny);
        assert_eq!(check(result("*", no.clone(), &[("arn:a", yes.clone()), ("arn:b", no.clone())])), ["arn:b"]);
        assert_eq!(check(result("arn:a", no.clone(), &[])), ["arn:a"]);
        assert_eq!(check(result("arn:a", yes, &[])), [""; 0]);
        assert_eq!(check(result("arn:${Partition}:ssm:…", no, &[])), ["arn:a", "arn:b"]);
        assert_eq!(check(result("arn:b", Decision::from("someNewWord"), &[])), ["arn:b"]);
    }
}
