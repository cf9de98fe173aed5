use super::*;

/// A client with a token.
struct Client<'a>(&'a World, &'a str);

impl Client<'_> {
    fn send(&self, method: &str, path: &str, body: Value) -> (u16, Value, Option<String>) {
        let uri = if path.starts_with("http") { path.to_owned() } else { format!("https://ghe/api/v3{path}") };
        let mut request = Request::builder().method(method).uri(uri);
        if !self.1.is_empty() {
            request = request.header(AUTHORIZATION, format!("Bearer {}", self.1));
        }
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let response = self.0.answer(&request.body(body).unwrap()).unwrap();
        let link = response.headers().get(LINK).map(|link| link.to_str().unwrap().to_owned());
        (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap_or(Value::Null), link)
    }

    fn get(&self, path: &str) -> Value {
        let (status, body, _) = self.send("GET", path, Value::Null);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }
}

const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

fn world() -> World {
    let world = World::new();
    world.pull_request("org/shop", 12, SHA);
    world
}

#[test]
fn a_comment_is_written_found_changed_and_removed() {
    let world = world();
    let client = Client(&world, "ghs_job");
    let (status, created, _) = client.send("POST", "/repos/org/shop/issues/12/comments", json!({ "body": "one" }));
    assert_eq!((status, created["user"]["login"].as_str()), (201, Some("github-actions[bot]")));
    let path = format!("/repos/org/shop/issues/comments/{}", created["id"]);
    assert_eq!(client.send("PATCH", &path, json!({ "body": "two" })).1["body"], "two");
    assert_eq!(world.comments("org/shop", 12)[0].body, "two");
    assert_eq!(client.send("DELETE", &path, Value::Null).0, 204);
    assert_eq!(client.send("PATCH", &path, json!({ "body": "three" })).0, 404);
    assert_eq!(world.writes().len(), 4);
    assert_eq!(world.writes()[0], "POST /repos/org/shop/issues/12/comments");
}

#[test]
fn a_long_listing_is_followed_by_its_links() {
    let world = world();
    for number in 0..5 {
        world.comment("org/shop", 12, "octocat", &number.to_string());
    }
    let client = Client(&world, "ghs_job");
    let mut next = Some("/repos/org/shop/issues/12/comments?per_page=2".to_owned());
    let mut bodies = String::new();
    while let Some(path) = next {
        let (_, page, link) = client.send("GET", &path, Value::Null);
        page.as_array().unwrap().iter().for_each(|comment| bodies += comment["body"].as_str().unwrap());
        next = link
            .unwrap()
            .split(", ")
            .find(|link| link.ends_with("rel=\"next\""))
            .map(|link| link.trim_start_matches('<').split('>').next().unwrap().to_owned());
    }
    assert_eq!(bodies, "01234");
}

#[test]
fn what_github_refuses_is_refused_in_its_words() {
    let world = world();
    let long = "x".repeat(65_537);
    for (token, method, path, body, expected) in [
        ("", "GET", "/user", Value::Null, (401, "Requires authentication")),
        ("ghs_job", "GET", "/user", Value::Null, (403, "Resource not accessible by integration")),
        ("ghs_job", "GET", "/repos/org/shop/issues/99/comments", Value::Null, (404, "Not Found")),
        ("ghs_job", "POST", "/repos/org/shop/issues/12/comments", json!({}), (422, "Validation Failed")),
        ("ghs_job", "POST", "/repos/org/shop/issues/12/comments", json!({ "body": long }), (422, "Validation Failed")),
        (
            "ghs_job",
            "POST",
            "/repos/org/shop/deployments",
            json!({}),
            (422, "Invalid request.\n\n\"ref\" wasn't supplied."),
        ),
        ("ghs_job", "GET", "/repos/org/shop/deployments/7", Value::Null, (404, "Not Found")),
        ("ghs_job", "GET", "/nowhere", Value::Null, (404, "Not Found")),
    ] {
        let (status, answer, _) = Client(&world, token).send(method, path, body);
        assert_eq!((status, answer["message"].as_str().unwrap()), expected, "{method} {path}");
    }
    assert_eq!(Client(&world, "ghp_mine").get("/user")["login"], "octocat");
}

#[test]
fn a_read_only_token_reads_only() {
    let world = world();
    world.read_only_token();
    let client = Client(&world, "ghs_fork");
    let (status, answer, _) = client.send("POST", "/repos/org/shop/issues/12/comments", json!({ "body": "one" }));
    assert_eq!((status, answer["message"].as_str()), (403, Some("Resource not accessible by integration")));
    assert_eq!(client.get("/repos/org/shop/issues/12/comments"), json!([]));
}

#[test]
fn a_success_retires_the_environments_earlier_deployment() {
    let world = world();
    let client = Client(&world, "ghs_job");
    for round in 0..2 {
        let body = json!({ "ref": SHA, "environment": "staging", "description": format!("round {round}") });
        let (status, deployment, _) = client.send("POST", "/repos/org/shop/deployments", body);
        assert_eq!((status, deployment["sha"].as_str()), (201, Some(SHA)));
        let path = format!("/repos/org/shop/deployments/{}/statuses", deployment["id"]);
        for state in ["in_progress", "success"] {
            assert_eq!(client.send("POST", &path, json!({ "state": state, "log_url": "https://run" })).0, 201);
        }
        assert_eq!(client.send("POST", &path, json!({ "state": "fine" })).0, 422);
        assert_eq!(client.get(&path)[0]["state"], "success");
    }
    let states =
        |deployment: &Deployment| deployment.statuses.iter().map(|status| status.state.clone()).collect::<Vec<_>>();
    let deployments = world.deployments("org/shop");
    assert_eq!(states(&deployments[0]), ["in_progress", "success", "inactive"]);
    assert_eq!(states(&deployments[1]), ["in_progress", "success"]);
    assert_eq!(client.get("/repos/org/shop/deployments?environment=staging")[0]["description"], "round 1");
    assert_eq!(client.get("/repos/org/shop/deployments?environment=other"), json!([]));
}

#[test]
fn runs_and_pull_requests_are_found_by_what_they_ran_for() {
    let world = world();
    let seed = |branch: &str, conclusion: Option<&str>| RunSeed {
        workflow: "deliver.yml".into(),
        branch: branch.into(),
        event: "push".into(),
        head_sha: SHA.into(),
        conclusion: conclusion.map(str::to_owned),
    };
    world.workflow_run("org/shop", seed("main", Some("success")));
    world.workflow_run("org/shop", seed("main", Some("failure")));
    world.workflow_run("org/shop", seed("main", None));
    let client = Client(&world, "ghs_job");
    let found = client.get("/repos/org/shop/actions/workflows/deliver.yml/runs?branch=main&status=success&per_page=1");
    assert_eq!((&found["total_count"], &found["workflow_runs"][0]["head_sha"]), (&json!(1), &json!(SHA)));
    assert_eq!(client.get("/repos/org/shop/actions/runs")["workflow_runs"][0]["status"], "in_progress");
    assert_eq!(client.get("/repos/org/shop/actions/workflows/other.yml/runs")["total_count"], 0);
    assert_eq!(client.get(&format!("/repos/org/shop/commits/{SHA}/pulls"))[0]["number"], 12);
    assert_eq!(client.get("/repos/org/shop/pulls/12")["head"]["sha"], SHA);
}
