//! Requests from outside to the services that run in the world, as if through their load balancer.

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use serde_json::{Value, json};

use crate::behaviour::Behaviour;
use crate::ecs::{Container, Health, Service, Task};
use crate::state::State;
use crate::{ecr, wire};

/// Answers `/_service/<cluster>/<service>/<any path>`.
pub(crate) fn answer(state: &mut State, request: &Request<Bytes>) -> Response<Bytes> {
    let mut parts = request.uri().path().trim_start_matches("/_service/").splitn(3, '/');
    let (cluster, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let found = state.ecs.services.values_mut().find(|service| service.cluster == cluster && service.name == name);
    let Some(service) = found else {
        // What a load balancer says where no rule matches.
        return wire::respond(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "Not Found");
    };
    let turn = service.requests;
    service.requests += 1;
    let arn = state.ecs_arn(&format!("service/{cluster}/{name}"));
    let Some(task) = chosen(state, &arn, turn) else {
        let page = "<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n<body>\r\n<center><h1>503 \
                    Service Temporarily Unavailable</h1></center>\r\n</body>\r\n</html>\r\n";
        return wire::respond(StatusCode::SERVICE_UNAVAILABLE, "text/html", page);
    };
    respond(state, task, name)
}

/// The version that a container says it is: its COMMIT, else what its image is called.
pub(crate) fn version(state: &State, container: &Container) -> String {
    let mut environment = container.definition["environment"].as_array().into_iter().flatten();
    let commit = environment.find(|variable| variable["name"] == "COMMIT").and_then(|commit| commit["value"].as_str());
    let labelled = || ecr::image(state, &container.image)?.labels.get("org.opencontainers.image.revision").cloned();
    let name = || container.image.rsplit(['/', '@', ':']).next().unwrap_or(&container.image).to_owned();
    commit.map(str::to_owned).or_else(labelled).unwrap_or_else(name)
}

/// The healthy tasks take turns; where none is healthy a load balancer tries them all. While traffic shifts, a revision gets
/// its share of the requests, evenly spread: 10 % are every tenth.
fn chosen<'a>(state: &'a State, service: &str, turn: usize) -> Option<&'a Task> {
    let running = state.ecs.tasks.values().filter(|task| task.is_running() && task.service.as_deref() == Some(service));
    let running: Vec<&Task> = running.collect();
    let (running, turn) = match state.ecs.services.get(service).and_then(Service::share) {
        None => (running, turn),
        Some(share) => {
            let before = share.requests(turn);
            let is_new = share.requests(turn + 1) > before;
            let own: Vec<&Task> = running.iter().copied().filter(|task| share.sends_to(task, is_new)).collect();
            let stands_in = own.is_empty() && share.stands_in();
            (if stands_in { running } else { own }, if is_new { before } else { turn - before })
        }
    };
    let (healthy, others): (Vec<&Task>, Vec<&Task>) =
        running.into_iter().partition(|task| task.health == Health::Healthy);
    let targets = if healthy.is_empty() { others } else { healthy };
    targets.get(turn % targets.len().max(1)).copied()
}

fn respond(state: &State, task: &Task, service: &str) -> Response<Bytes> {
    let container = task.port().map(|(container, _)| container).or_else(|| task.containers.first());
    let failing = container.is_none_or(|container| container.behaviour == Some(Behaviour::Unhealthy));
    let version = container.map_or_else(String::new, |container| version(state, container));
    let (status, word) = if failing { (StatusCode::SERVICE_UNAVAILABLE, "failing") } else { (StatusCode::OK, "ok") };
    let body: Value = json!({ "status": word, "service": service, "version": version, "task": task.id });
    let mut response = wire::respond(status, "application/json", body.to_string());
    if let Ok(version) = HeaderValue::from_str(&version) {
        response.headers_mut().insert("x-version", version);
    }
    response
}
