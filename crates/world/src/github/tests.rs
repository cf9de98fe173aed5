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

/// Creates a deployment and gives it statuses.
fn deploy(client: &Client<'_>, body: Value, states: &[&str]) -> u64 {
    let (status, deployment, _) = client.send("POST", "/repos/org/shop/deployments", body);
    assert_eq!(status, 201, "{deployment}");
    let path = format!("/repos/org/shop/deployments/{}/statuses", deployment["id"]);
    for state in states {
        assert_eq!(client.send("POST", &path, json!({ "state": state })).0, 201);
    }
    deployment["id"].as_u64().unwrap()
}

#[test]
fn only_what_succeeded_is_retired_and_neither_production_nor_what_is_transient() {
    #[track_caller]
    fn check(earlier: Value, states: &[&str], later: Value, expected: &str) {
        let world = world();
        let client = Client(&world, "ghs_job");
        deploy(&client, earlier, states);
        let id = deploy(&client, later, &["in_progress"]);
        let path = format!("/repos/org/shop/deployments/{id}/statuses");
        assert_eq!(client.send("POST", &path, json!({ "state": "success" })).0, 201);
        assert_eq!(world.deployments("org/shop")[0].statuses.last().unwrap().state, expected);
    }
    let staging = || json!({ "ref": SHA, "environment": "staging/auth" });
    let with = |member: &str, value: bool| {
        let mut body = staging();
        body[member] = json!(value);
        body
    };
    check(staging(), &["success"], staging(), "inactive");
    check(staging(), &["success", "failure"], staging(), "failure");
    check(staging(), &["in_progress"], staging(), "in_progress");
    check(staging(), &["success"], json!({ "ref": SHA, "environment": "staging/web" }), "success");
    check(with("production_environment", true), &["success"], staging(), "success");
    check(with("transient_environment", true), &["success"], staging(), "success");
    check(json!({ "ref": SHA }), &["success"], json!({ "ref": SHA }), "success");
}

#[test]
fn a_success_may_leave_the_others_as_they_are() {
    let world = world();
    let client = Client(&world, "ghs_job");
    let body = json!({ "ref": SHA, "environment": "staging" });
    deploy(&client, body.clone(), &["success"]);
    let path = format!("/repos/org/shop/deployments/{}/statuses", deploy(&client, body, &[]));
    client.send("POST", &path, json!({ "state": "success", "auto_inactive": false }));
    assert_eq!(world.deployments("org/shop")[0].statuses.last().unwrap().state, "success");
}

#[test]
fn deployments_are_filtered() {
    let world = world();
    let client = Client(&world, "ghs_job");
    let other = SHA.replace('0', "f");
    let first = deploy(&client, json!({ "ref": SHA, "environment": "staging/auth" }), &[]);
    let second = deploy(&client, json!({ "ref": other, "environment": "staging/auth", "task": "deploy:auth" }), &[]);
    let third = deploy(&client, json!({ "ref": other, "environment": "staging/web" }), &[]);
    let check = |query: &str, expected: &[u64]| {
        let found = client.get(&format!("/repos/org/shop/deployments?{query}"));
        let ids: Vec<u64> = found.as_array().unwrap().iter().filter_map(|one| one["id"].as_u64()).collect();
        assert_eq!(ids, expected, "{query}");
    };
    check("", &[third, second, first]);
    check("environment=staging%2Fauth", &[second, first]);
    check("environment=staging", &[]);
    check(&format!("sha={other}"), &[third, second]);
    check(&format!("sha={other}&environment=staging/auth"), &[second]);
    check("task=deploy%3Aauth", &[second]);
    check(&format!("ref={SHA}"), &[first]);
}

#[test]
fn a_token_without_the_permission_makes_no_deployments() {
    let world = world();
    let client = Client(&world, "ghs_job");
    let id = deploy(&client, json!({ "ref": SHA, "environment": "staging" }), &[]);
    world.forbid_deployments();
    for (path, body) in [
        ("/repos/org/shop/deployments".to_owned(), json!({ "ref": SHA })),
        (format!("/repos/org/shop/deployments/{id}/statuses"), json!({ "state": "success" })),
    ] {
        let (status, answer, _) = client.send("POST", &path, body);
        assert_eq!((status, answer["message"].as_str()), (403, Some("Resource not accessible by integration")));
    }
    assert_eq!(client.get("/repos/org/shop/deployments")[0]["id"], id);
    assert_eq!(client.send("POST", "/repos/org/shop/issues/12/comments", json!({ "body": "one" })).0, 201);
}

#[test]
fn two_commits_are_compared() {
    let world = world();
    let sha = |digit: char| digit.to_string().repeat(40);
    let [a, b, c, d, x, y] = ['a', 'b', 'c', 'd', '1', '2'].map(sha);
    world.commits("org/shop", &[&a, &b, &c, &d]);
    world.commits("org/shop", &[&b, &x]);
    world.commits("org/shop", &[&y]);
    let client = Client(&world, "ghs_job");
    let compare =
        |base: &str, head: &str| client.send("GET", &format!("/repos/org/shop/compare/{base}...{head}"), Value::Null);
    for (base, head, status, ahead, behind) in
        [(&a, &d, "ahead", 3, 0), (&d, &a, "behind", 0, 3), (&c, &c, "identical", 0, 0), (&d, &x, "diverged", 1, 2)]
    {
        let (code, body, _) = compare(base, head);
        assert_eq!(code, 200);
        let found = (body["status"].as_str().unwrap(), body["ahead_by"].as_u64(), body["behind_by"].as_u64());
        assert_eq!(found, (status, Some(ahead), Some(behind)), "{base}...{head}");
    }
    assert_eq!(compare(&d, &x).1["merge_base_commit"]["sha"], b);
    assert_eq!(compare(&a, &c).1["commits"][0]["sha"], b);
    assert_eq!(compare(&a[..7], &b).1["status"], "ahead");
    for (base, head) in [(&a, &sha('9')), (&sha('9'), &a), (&a, &y)] {
        assert_eq!(compare(base, head).0, 404, "{base}...{head}");
    }
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
        ..RunSeed::default()
    };
    world.workflow_run("org/shop", seed("main", Some("success")));
    world.workflow_run("org/shop", seed("main", Some("failure")));
    world.workflow_run("org/shop", seed("main", None));
    let client = Client(&world, "ghs_job");
    let found = client.get("/repos/org/shop/actions/workflows/deliver.yml/runs?branch=main&status=success&per_page=1");
    assert_eq!((&found["total_count"], &found["workflow_runs"][0]["head_sha"]), (&json!(1), &json!(SHA)));
    assert_eq!(client.get("/repos/org/shop/actions/runs")["workflow_runs"][0]["status"], "in_progress");
    assert_eq!(client.get("/repos/org/shop/actions/workflows/other.yml/runs")["total_count"], 0);
    assert_eq!(found["workflow_runs"][0]["head_repository"]["full_name"], "org/shop");
    assert_eq!(client.get(&format!("/repos/org/shop/commits/{SHA}/pulls"))[0]["number"], 12);
    assert_eq!(client.get("/repos/org/shop/pulls/12")["head"]["sha"], SHA);
}
