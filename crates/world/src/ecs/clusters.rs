//! Clusters: where services and tasks live.

use serde_json::{Value, json};

use super::{missing, strings};
use crate::state::State;
use crate::wire::Refusal;

#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) name: String,
    pub(super) arn: String,
}

/// Makes a cluster, if it is not there yet.
pub(super) fn create(state: &mut State, name: &str) {
    let arn = state.ecs_arn(&format!("cluster/{name}"));
    state.ecs.clusters.entry(name.to_owned()).or_insert_with(|| Cluster { name: name.to_owned(), arn });
}

/// The name of the cluster that a request means: by name, by ARN, or `default` where it says nothing.
pub(super) fn named(state: &State, body: &Value) -> Result<String, Refusal> {
    find(state, body["cluster"].as_str().unwrap_or("default"))
        .map(|cluster| cluster.name.clone())
        .ok_or_else(|| Refusal::new("ClusterNotFoundException", "Cluster not found."))
}

/// DescribeClusters.
pub(super) fn describe(state: &State, body: &Value) -> Value {
    let mut names = strings(body, "clusters");
    if names.is_empty() {
        names.push("default");
    }
    let (mut clusters, mut failures) = (Vec::new(), Vec::new());
    for name in names {
        match find(state, name) {
            Some(cluster) => clusters.push(description(state, cluster)),
            None => failures.push(missing(state, "cluster", name)),
        }
    }
    json!({ "clusters": clusters, "failures": failures })
}

fn find<'a>(state: &'a State, name_or_arn: &str) -> Option<&'a Cluster> {
    state.ecs.clusters.values().find(|cluster| cluster.name == name_or_arn || cluster.arn == name_or_arn)
}

fn description(state: &State, cluster: &Cluster) -> Value {
    let tasks = |status: &str| {
        state.ecs.tasks.values().filter(|task| task.cluster == cluster.name && task.count_status() == status).count()
    };
    let services = state.ecs.services.values().filter(|service| service.cluster == cluster.name && service.is_active());
    json!({
        "clusterArn": cluster.arn,
        "clusterName": cluster.name,
        "status": "ACTIVE",
        "registeredContainerInstancesCount": 0,
        "runningTasksCount": tasks("RUNNING"),
        "pendingTasksCount": tasks("PENDING"),
        "activeServicesCount": services.count(),
        "statistics": [],
        "tags": state.ecs.tags.get(&cluster.arn).cloned().unwrap_or_default(),
        "settings": [{ "name": "containerInsights", "value": "disabled" }],
        "capacityProviders": ["FARGATE", "FARGATE_SPOT"],
        "defaultCapacityProviderStrategy": [],
    })
}
