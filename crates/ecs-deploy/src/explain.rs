//! `operation: explain`: how the last deployment of each service ended, and why. Reads only.

use std::fmt::Write as _;

use common::aws::{Aws, Service, ServiceDeployment};
use common::failure::{Failure, Kind};
use common::markdown::{code, escape, prose, table};
use common::names::ServiceKey;
use common::report::{Report, Verdict};
use futures_util::future::try_join_all;
use serde_json::{Map, Value, json};

use crate::ACTION;
use crate::config::{Config, Target};
use crate::diagnosis::{Diagnosis, diagnose};
use crate::report::{about, diagnosis};
use crate::rollout::Rollout;
use crate::words::short;

/// How the last deployment of a service ended.
struct Explained {
    key: ServiceKey,
    word: &'static str,
    why: String,
    runs: String,
    tried: String,
    diagnosis: Diagnosis,
}

/// Explains the last deployment of every service.
pub(crate) async fn explain(config: &Config, aws: &Aws) -> Result<Report, Failure> {
    let names: Vec<_> = config.targets().map(|target| &target.service).collect();
    let services = aws.ecs.describe_services(&config.cluster, &names).await?;
    let explained = try_join_all(config.targets().map(|target| async {
        let service = services.iter().find(|service| service.name == target.service.as_str());
        let service = service.ok_or_else(|| {
            Failure::input(format!("there is no ECS service `{}` in cluster `{}`", target.service, config.cluster))
                .hint("check `service`, `cluster` and the region: names are case-sensitive")
        })?;
        one(config, target, service, aws).await
    }));
    Ok(report(config, &explained.await?))
}

async fn one(config: &Config, target: &Target, service: &Service, aws: &Aws) -> Result<Explained, Failure> {
    let record = match aws.ecs.latest_service_deployments(&config.cluster, &target.service, None).await {
        Ok(records) => records.into_iter().next(),
        Err(failure) if failure.kind == Kind::Denied => None,
        Err(failure) => return Err(failure),
    };
    let revisions: Vec<String> = record.iter().map(|record| record.target_revision.clone()).collect();
    let definitions = aws.ecs.revision_task_definitions(&revisions).await?;
    let primary = service.primary();
    let tried = revisions.first().and_then(|revision| definitions.get(revision)).unwrap_or(&service.task_definition);
    let rollout = Rollout {
        deployment: primary
            .filter(|primary| primary.task_definition == *tried)
            .map(|primary| primary.id.clone())
            .unwrap_or_default(),
        since: record.as_ref().and_then(|record| record.created_at).or(primary.and_then(|primary| primary.created_at)),
        to: tried.clone(),
        good: None,
    };
    let (word, why) = ending(record.as_ref(), service);
    let diagnosis = match word {
        "deployed" => Diagnosis::default(),
        _ => diagnose(aws, &config.cluster, &target.service, &rollout, record.as_ref()).await,
    };
    let runs = short(&service.task_definition).to_owned();
    Ok(Explained { key: target.key.clone(), word, why, runs, tried: short(tried).to_owned(), diagnosis })
}

/// How a deployment ended, in the words of this action, and in ECS's.
fn ending(record: Option<&ServiceDeployment>, service: &Service) -> (&'static str, String) {
    let Some(record) = record else {
        let primary = service.primary();
        let reason =
            primary.and_then(|primary| primary.reason.clone()).unwrap_or_else(|| "ECS gave no reason".to_owned());
        return match primary.map(|primary| primary.rollout.as_str()) {
            Some("COMPLETED") => ("deployed", reason),
            Some("FAILED") => ("failed", reason),
            _ => ("in-progress", reason),
        };
    };
    let word = match record.status.as_str() {
        "SUCCESSFUL" => return ("deployed", "it came to its good end".to_owned()),
        "ROLLBACK_SUCCESSFUL" => "rolled-back",
        "ROLLBACK_FAILED" => "rollback-failed",
        "STOPPED" if record.why().contains("Replaced by") => "superseded",
        "STOPPED" => "failed",
        _ if record.awaits().is_some() => "paused",
        _ => "in-progress",
    };
    (word, format!("{}: {}", record.status, record.why()))
}

/// Nothing was changed, whatever was found.
fn report(config: &Config, explained: &[Explained]) -> Report {
    let rows = explained.iter().map(|one| {
        vec![escape(one.key.as_str()), one.word.to_owned(), code(&one.tried), code(&one.runs), prose(&one.why)]
    });
    let mut summary = format!("### 🔎 {}: how the last deployments ended\n\n{}\n\n", ACTION.name, about(config, None));
    summary += &table(&["service", "result", "deployed", "runs now", "because"], &rows.collect::<Vec<_>>());
    for one in explained {
        let _ = write!(summary, "{}", diagnosis(one.key.as_str(), &one.diagnosis));
    }
    let words = explained.iter().map(|one| (one.key.to_string(), json!(one.word)));
    let details = explained.iter().map(|one| {
        let causes = one.diagnosis.causes.iter().map(|cause| json!({ "tasks": cause.tasks, "cause": cause.text }));
        json!({ "service": one.key, "result": one.word, "because": one.why, "to": one.tried, "runs": one.runs, "causes": causes.collect::<Vec<_>>(), "events": one.diagnosis.events })
    });
    Report {
        result: "unchanged",
        verdict: Verdict::Good,
        outputs: vec![("services", Value::Object(words.collect::<Map<_, _>>()).to_string())],
        json: json!({ "result": "unchanged", "operation": "explain", "services": details.collect::<Vec<_>>() }),
        summary,
    }
}
