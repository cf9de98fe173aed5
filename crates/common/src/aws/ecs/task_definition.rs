//! Task definitions, as JSON: what a user wrote reaches ECS as written, and what ECS holds comes back whole.

use aws_sdk_ecs::operation::describe_task_definition::DescribeTaskDefinitionError;
use aws_sdk_ecs::operation::register_task_definition::RegisterTaskDefinitionError;
use aws_sdk_ecs::types::TaskDefinitionField;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::retry::RetryConfig;
use serde_json::Value;

use super::Ecs;
use crate::aws::raw;
use crate::aws::refusal::failure;
use crate::failure::Failure;
use crate::names::TaskDefinitionRevision;

impl Ecs {
    /// `ecs:DescribeTaskDefinition`: the task definition with its `tags` in it, as RegisterTaskDefinition takes them. What only
    /// ECS writes (`revision`, `status`, …) is in it too.
    pub async fn describe_task_definition(&self, revision: &str) -> Result<Value, Failure> {
        let described = self.described(revision).await.map_err(|error| unseen(error, revision))?;
        described.ok_or_else(|| Failure::remote(format!("ECS answered without task definition `{revision}`")))
    }

    /// `ecs:DescribeTaskDefinition` for the newest active revision of a family; `None` if it has none.
    pub async fn latest_task_definition(&self, family: &str) -> Result<Option<Value>, Failure> {
        match self.described(family).await {
            Ok(described) => Ok(described),
            // "Unable to describe task definition." has no error of its own.
            Err(error) if error.as_service_error().is_some_and(DescribeTaskDefinitionError::is_client_exception) => {
                Ok(None)
            }
            Err(error) => Err(unseen(error, family)),
        }
    }

    async fn described(
        &self,
        revision: &str,
    ) -> Result<Option<Value>, SdkError<DescribeTaskDefinitionError, HttpResponse>> {
        let answer = raw::Answer::default();
        self.0
            .describe_task_definition()
            .task_definition(revision)
            .include(TaskDefinitionField::Tags)
            .customize()
            .interceptor(answer.clone())
            .send()
            .await?;
        let mut answer = answer.take();
        let tags = answer["tags"].take();
        Ok(match answer["taskDefinition"].take() {
            Value::Object(mut members) => {
                if tags.as_array().is_some_and(|tags| !tags.is_empty()) {
                    members.insert("tags".to_owned(), tags);
                }
                Some(Value::Object(members))
            }
            _ => None,
        })
    }

    /// `ecs:RegisterTaskDefinition`: a new revision, from this JSON as it is. Answers its ARN, and what ECS made of the JSON.
    ///
    /// One attempt: a lost answer may be that of a revision that is there, so that whoever asks again should look first.
    pub async fn register_task_definition(
        &self,
        definition: &Value,
    ) -> Result<(TaskDefinitionRevision, Value), Failure> {
        let family = definition["family"].as_str().unwrap_or_default();
        let doing = || format!("register task definition `{family}`");
        let whole = raw::Answer::default();
        let answer = self
            .0
            .register_task_definition()
            .family(family)
            .set_container_definitions(Some(Vec::new()))
            .customize()
            .config_override(aws_sdk_ecs::config::Builder::new().retry_config(RetryConfig::disabled()))
            .mutate_request(raw::body(definition))
            .interceptor(whole.clone())
            .send()
            .await
            .map_err(|error| explain(error, family))?;
        let arn = answer.task_definition().and_then(|definition| definition.task_definition_arn()).unwrap_or_default();
        let mut whole = whole.take();
        let mut registered = whole["taskDefinition"].take();
        if !definition["tags"].is_null() {
            registered["tags"] = whole["tags"].take();
        }
        let revision = arn.parse().map_err(|error| Failure::remote(error).context(doing()))?;
        Ok((revision, registered))
    }
}

fn unseen(error: SdkError<DescribeTaskDefinitionError, HttpResponse>, revision: &str) -> Failure {
    failure("ecs:DescribeTaskDefinition", format!("look at task definition `{revision}`"), error)
}

/// ECS says what is wrong with a task definition; it is the author's to mend.
fn explain<R>(error: SdkError<RegisterTaskDefinitionError, R>, family: &str) -> Failure
where
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let is_invalid = error.as_service_error().is_some_and(|refused| refused.code() == Some("ClientException"));
    let explained = failure("ecs:RegisterTaskDefinition", format!("register task definition `{family}`"), error);
    match is_invalid {
        true => Failure {
            kind: crate::failure::Kind::Input,
            hint: Some("mend the task definition file: the message above is ECS's own".to_owned()),
            ..explained
        },
        false => explained,
    }
}
