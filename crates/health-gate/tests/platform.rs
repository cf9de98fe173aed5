//! What AWS tells of a service: whose deployment it is, tasks that crash, alarms; checks that count less; what is done about
//! an unhealthy one.

use common::aws::Place;

use super::*;

/// The id of the deployment that `auth` runs by.
async fn deployment(stage: &Stage) -> String {
    let aws = stage.edges(&[]).aws(&Place::default()).await.expect("a place");
    let (cluster, service) = ("shop".parse().expect("a name"), "auth".parse().expect("a name"));
    let services = aws.ecs.describe_services(&cluster, &[&service]).await.expect("an answer");
    services[0].primary().expect("a deployment").id.clone()
}

#[tokio::test(start_paused = true)]
async fn the_primary_deployment_has_to_be_the_one_that_was_meant() {
    let stage = stage();
    let id = deployment(&stage).await;
    let ran = watch(&stage, &[("services", "auth"), ("deployment", &id)]).await;
    assert_eq!(ending(&ran).1, "healthy", "{}", ran.log);
    let began = Instant::now();
    let ran = watch(&stage, &[("services", "auth"), ("deployment", "ecs-svc/1")]).await;
    assert_eq!((ending(&ran).0, ending(&ran).1), (1, "unhealthy"), "{}", ran.log);
    assert_eq!(began.elapsed(), Duration::ZERO, "no further look would change that");
    assert_eq!(check(&ran, "deployment").1, format!("{id} is the primary one: another deployment took its place"));
}

#[tokio::test(start_paused = true)]
async fn the_task_definition_has_to_be_the_one_that_was_deployed() {
    let stage = stage();
    for (revision, result) in [("shop-auth:1", "healthy"), ("shop-auth:2", "unhealthy")] {
        let definitions = json!({ "auth": revision, "web": null }).to_string();
        let ran = watch(&stage, &[("services", "auth"), ("task-definitions", &definitions)]).await;
        assert_eq!(ending(&ran).1, result, "{}", ran.log);
        assert_eq!(check(&ran, "task definition").1, "shop-auth:1");
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_loop_is_told_at_once() {
    let stage = deploying("exits 1 after 3 s: no such table").await;
    let inputs = [("services", "auth"), ("expect", "status == 200"), ("interval", "10s"), ("timeout", "20m")];
    let ran = watch(&stage, &inputs).await;
    assert_eq!((ending(&ran).0, ending(&ran).1), (1, "unhealthy"), "{}", ran.log);
    let (verdict, observed) = check(&ran, "stopped tasks");
    assert!(verdict == "fail" && observed.ends_with("stopped: container `app`: exit code 1"), "{verdict}: {observed}");
}

#[tokio::test(start_paused = true)]
async fn an_alarm_that_goes_off_is_the_end_and_one_that_was_on_before_is_told() {
    let stage = stage();
    stage.world.set_alarm("shop-errors", "OK");
    stage.world.set_alarm("shop-latency", "OK");
    let inputs = [("services", "auth"), ("alarms", "shop-*"), ("bake", "10m"), ("interval", "10s")];
    let ran = watch(&stage, &inputs).await;
    assert_eq!(ending(&ran).1, "healthy", "{}", ran.log);
    stage.world.set_alarm_after("shop-errors", "ALARM", Duration::from_mins(2));
    let began = Instant::now();
    let ran = watch(&stage, &inputs).await;
    assert_eq!(ending(&ran).1, "unhealthy", "{}", ran.log);
    assert!(began.elapsed() <= Duration::from_secs(130), "{:?}", began.elapsed());
    assert_snapshot!(stable(&ran.annotations().join("\n")));
    // What was well at the only look is not said to be without data.
    let ran = watch(&stage, &inputs).await;
    assert_eq!(
        (ending(&ran).1, ran.summary.matches("❓ too few looks").count() > 3),
        ("unhealthy", true),
        "{}",
        ran.summary
    );
    assert!(!ran.summary.contains("no data"), "{}", ran.summary);

    let stage = Stage::new();
    stage.file("delivery.toml", DELIVERY);
    stage.world.set_alarm("shop-errors", "ALARM");
    stage.world.set_alarm("shop-latency", "INSUFFICIENT_DATA");
    tokio::time::advance(Duration::from_mins(5)).await;
    let digest = push(&stage, "auth", COMMIT, "serves");
    add(&stage, "auth", &digest);
    let ran = watch(&stage, &[("services", "auth"), ("alarms", "shop-errors")]).await;
    assert_eq!((ending(&ran).0, ending(&ran).1), (0, "degraded"), "{}", ran.log);
    assert!(check(&ran, "alarm shop-errors").1.contains("before the deployment"), "{}", ran.summary);
    let ran = watch(&stage, &[("services", "auth"), ("alarms", "shop-latency"), ("timeout", "5m")]).await;
    assert_eq!((ending(&ran).0, ending(&ran).1), (1, "undecided"), "{}", ran.log);
    let ran = watch(&stage, &[("services", "auth"), ("alarms", "shop-eror")]).await;
    assert_eq!(ending(&ran).0, 2, "{}", ran.log);
}

#[tokio::test(start_paused = true)]
async fn alarms_may_be_meant_by_their_tag() {
    let stage = stage();
    for (name, service) in [("errors", "auth"), ("latency", "auth"), ("web-errors", "web")] {
        stage.world.set_alarm(name, "OK");
        stage.world.tag_alarm(name, "service", service);
    }
    stage.world.set_alarm("web-errors", "ALARM");
    let inputs = [("services", "auth"), ("alarms", "tag:service=${SERVICE}")];
    let ran = watch(&stage, &inputs).await;
    assert_eq!(ending(&ran).1, "healthy", "another service's alarm is none of ours\n{}", ran.log);
    assert_eq!((check(&ran, "alarm errors").0, check(&ran, "alarm latency").0), ("pass".into(), "pass".into()));
    let asked = |stage: &Stage, name: &str| stage.world.calls().iter().filter(|call| call.name == name).count();
    assert_eq!(asked(&stage, "tag:GetResources"), 1, "what has a tag is asked for once, its state at each look");
    stage.world.set_alarm("latency", "ALARM");
    let ran = watch(&stage, &inputs).await;
    assert_eq!(ending(&ran).1, "unhealthy", "{}", ran.log);
    stage.world.script("tag:GetResources", Fault::Denied, 1);
    let ran = watch(&stage, &inputs).await;
    assert_eq!((ran.exit_code, ran.output("result")), (3, "undecided"), "{}", ran.log);
    assert_snapshot!(ran.annotations().join("\n"));
}

#[tokio::test(start_paused = true)]
async fn a_check_may_count_less_or_not_at_all() {
    let stage = stage();
    let expect = "status == 200\njson(/status) == 'excellent'";
    for (weight, result, exit_code) in [("optional", "degraded", 0), ("observe", "healthy", 0)] {
        for name in ["json(/status)", "json(/status) == 'excellent'"] {
            let ran = watch(&stage, &[("services", "auth"), ("expect", expect), (weight, name)]).await;
            assert_eq!((ending(&ran).0, ending(&ran).1), (exit_code, result), "{weight} {name}\n{}", ran.log);
        }
    }
    let inputs = [("services", "auth"), ("expect", expect), ("optional", "json(/status)"), ("fail-on", "warn")];
    let ran = watch(&stage, &inputs).await;
    assert_eq!((ending(&ran).0, ending(&ran).1), (1, "degraded"), "{}", ran.log);
    assert_snapshot!(stable(&ran.annotations().join("\n")));
}

#[tokio::test(start_paused = true)]
async fn weights_that_make_no_sense_are_refused() {
    let stage = stage();
    let mut told = String::new();
    for inputs in [
        &[("services", "auth"), ("optional", "json(/verison)")][..],
        &[("services", "auth"), ("metrics", "ecs-cpus\necs-cpu > 5")],
        &[("services", "auth"), ("bake", "30m"), ("timeout", "10m")],
        &[("services", "auth"), ("distinct", "3")],
        &[("services", "auth"), ("headers", "x-api-key abc")],
        &[("services", "auth"), ("alarms", "shop-*")],
        &[("services", "auth"), ("alarms", "tag:service=auth")],
        &[("services", "auth"), ("alarms", "tag:service, *")],
        &[("services", "auth"), ("metrics", "ecs-cpu fail 60")],
    ] {
        let ran = watch(&stage, inputs).await;
        assert_eq!((ran.output("result"), ran.exit_code), ("undecided", 2), "{inputs:?}\n{}", ran.log);
        told += &format!("{}\n", ran.annotations().join("\n"));
    }
    assert_snapshot!(told);
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_is_on_its_way_is_taken_back_and_one_that_has_arrived_is_not() {
    let stage = deploying("exits 1 after 3 s").await;
    let inputs = [("services", "auth"), ("expect", "status == 200"), ("interval", "10s"), ("on-unhealthy", "rollback")];
    let ran = stage.run(&ACTION, run, &inputs).await;
    assert_eq!((ending(&ran).0, ending(&ran).1, ran.output("rollback")), (1, "unhealthy", "requested"), "{}", ran.log);
    assert!(stage.world.calls().iter().any(|call| call.name == "ecs:StopServiceDeployment" && call.status == 200));
    assert_snapshot!(stable(&ran.annotations().join("\n")));

    let stage = self::stage();
    let expect = "json(/status) == 'excellent'";
    let inputs = [("services", "auth"), ("expect", expect), ("on-unhealthy", "rollback")];
    let ran = watch(&stage, &inputs).await;
    assert_eq!((ending(&ran).1, ran.output("rollback")), ("unhealthy", "needed"), "{}", ran.log);
    assert_snapshot!(stable(&ran.annotations().join("\n")));
    // Nobody asked for it here.
    let ran = watch(&stage, &[("services", "auth"), ("expect", expect)]).await;
    assert_eq!((ending(&ran).1, ran.output("rollback")), ("unhealthy", "none"));
}

/// `auth` runs an image whose commands do this.
fn with_smoke_test(behaviour: &str) -> Stage {
    let stage = Stage::new();
    stage.file("delivery.toml", DELIVERY);
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let digest = stage.world.push_image(ImageSeed {
        repository: "shop/auth".into(),
        tag: COMMIT.into(),
        labels: vec![
            label("org.opencontainers.image.revision", COMMIT),
            label("world.serves", "serves"),
            label("world.runs", behaviour),
        ],
        ..ImageSeed::default()
    });
    add(&stage, "auth", &digest);
    stage
}

#[tokio::test(start_paused = true)]
async fn a_smoke_test_runs_once_when_everything_else_holds() {
    for (behaviour, exit_code, result) in [
        ("exits 0 after 3 s", 0, "healthy"),
        ("exits 99 after 3 s", 1, "unhealthy"),
        ("exits 107 after 3 s", 1, "undecided"),
    ] {
        let stage = with_smoke_test(behaviour);
        let inputs = [("services", "auth"), ("smoke-command", r#"["k6", "run", "smoke.js"]"#)];
        let ran = stage.run(&ACTION, run, &inputs).await;
        assert_eq!((ending(&ran).0, ending(&ran).1), (exit_code, result), "{behaviour}\n{}", ran.log);
        let calls = stage.world.calls();
        let started: Vec<_> = calls.iter().filter(|call| call.name == "ecs:RunTask").collect();
        assert_eq!(started.len(), 1);
        let command = &started[0].body["overrides"]["containerOverrides"][0];
        assert_eq!((&command["name"], &command["command"]), (&json!("app"), &json!(["k6", "run", "smoke.js"])));
    }
}

#[tokio::test(start_paused = true)]
async fn a_smoke_test_that_takes_too_long_is_stopped_and_decides_nothing() {
    let stage = with_smoke_test("exits 0 after 3600 s");
    let inputs = [("services", "auth"), ("smoke-command", r#"["k6", "run", "smoke.js"]"#), ("timeout", "10m")];
    let ran = stage.run(&ACTION, run, &inputs).await;
    assert_eq!((ending(&ran).0, ending(&ran).1), (1, "undecided"), "{}", ran.log);
    assert_eq!(stage.world.writes(), ["ecs:RunTask", "ecs:StopTask"]);
    assert_snapshot!(stable(&ran.annotations().join("\n")));
}
