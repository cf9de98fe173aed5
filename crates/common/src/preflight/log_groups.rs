//! Do the log groups exist? Without its group, a task stops with `ResourceInitializationError` before its first line.

use serde_json::Value;

use super::references::log_groups_of;
use super::{Finding, each, unchecked};
use crate::aws::Aws;
use crate::names::ServiceKey;

pub(super) async fn check(aws: &Aws, definitions: &[(ServiceKey, Value)]) -> Vec<Finding> {
    let (mut findings, mut failed) = (Vec::new(), Vec::new());
    let here = aws.region.as_str();
    let (near, far): (Vec<_>, Vec<_>) = log_groups_of(definitions)
        .into_iter()
        .partition(|((_, region), _)| region.as_deref().is_none_or(|region| region == here));
    let asked = each(near, async |((group, _), mentions)| {
        let exists = aws.logs.log_group_exists(&group).await;
        (group, mentions, exists)
    });
    for (group, mentions, exists) in asked.await {
        match exists {
            Ok(true) => {}
            Ok(false) => findings.push(Finding::blocks(
                format!("log group `{group}` does not exist in {here}"),
                &mentions,
                format!("create it (`aws logs create-log-group --log-group-name {group}`), or set the option `awslogs-create-group` to `true` and allow the execution role `logs:CreateLogGroup`"),
            )),
            Err(failure) => failed.push((failure, mentions)),
        }
    }
    for ((group, region), mentions) in far {
        let region = region.unwrap_or_default();
        findings.push(Finding::warns(
            format!("log group `{group}` is in {region}, and it was not looked for outside of {here}"),
            &mentions,
            "see that it exists there",
        ));
    }
    findings.extend(unchecked("whether the log groups exist", failed));
    findings
}
