//! Deployments that go well.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_seeded_service_runs_already() {
    let world = world(&[]);
    world.create_service(seed(2));
    let seen = world.service("default", "auth").expect("a service");
    assert_eq!((seen.desired, seen.running, seen.rollout.as_str()), (2, 2, "COMPLETED"));
    assert_eq!(seen.service_deployments, ["SUCCESSFUL"]);
    assert_eq!(seen.images, [format!("{REGISTRY}/auth:good")]);
    assert_eq!(request(&world), (200, "good".to_owned()));
    seconds(3600).await;
    assert_eq!(world.service("default", "auth").expect("a service").running, 2, "nothing happens by itself");
    assert_eq!(world.tasks("default").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn new_tasks_replace_old_ones_without_ever_falling_below_the_desired_count() {
    let world = world(&[]);
    world.create_service(seed(2));
    let updated = deploy(&world, "better");
    assert_eq!(updated["deployments"][0]["status"], "PRIMARY");
    assert_eq!(updated["deployments"][0]["rolloutState"], "IN_PROGRESS");
    assert_eq!(updated["deployments"][1]["rolloutState"], "COMPLETED");
    assert_eq!(service_deployment(&world)["status"], "PENDING");

    for _ in 0..30 {
        seconds(4).await;
        let seen = service(&world);
        assert!(seen["runningCount"].as_u64() >= Some(2), "{seen}");
        let tasks = seen["runningCount"].as_u64().unwrap_or(0) + seen["pendingCount"].as_u64().unwrap_or(0);
        assert!(tasks <= 4, "no more than maximumPercent allows");
    }
    let seen = service(&world);
    assert_eq!(seen["deployments"].as_array().map(Vec::len), Some(1));
    assert_eq!(seen["deployments"][0]["id"], updated["deployments"][0]["id"]);
    assert_eq!(seen["deployments"][0]["rolloutState"], "COMPLETED");
    assert_eq!(service_deployment(&world)["status"], "SUCCESSFUL");
    assert_eq!(request(&world), (200, "better".to_owned()));
    for what in [
        "has started 2 tasks: (task ",
        "has stopped 1 running tasks: (task ",
        "registered 1 targets in (target-group ",
        "has begun draining connections on",
        "deployment completed.",
        "(service auth) has reached a steady state.",
    ] {
        assert!(says(&world, what), "{what}");
    }
    let old = world.tasks("default").into_iter().find(|task| task.status == "STOPPED").expect("a stopped task");
    assert_eq!(old.stop_code.as_deref(), Some("ServiceSchedulerInitiated"));
    let id = &updated["deployments"][0]["id"];
    assert_eq!(
        old.stopped_reason,
        Some(format!("Scaling activity initiated by (deployment {})", id.as_str().unwrap_or_default()))
    );
    assert_eq!(old.exit_codes["app"], Some(0));
}

#[tokio::test(start_paused = true)]
async fn what_happened_has_its_own_moment_whenever_one_looks() {
    let story = |often: bool| async move {
        let world = world(&[]);
        world.create_service(seed(1));
        deploy(&world, "better");
        for _ in 0..120 {
            seconds(1).await;
            if often {
                service(&world);
            }
        }
        (service(&world), service_deployment(&world))
    };
    assert_eq!(story(true).await, story(false).await);
}

#[tokio::test(start_paused = true)]
async fn a_task_passes_through_its_statuses() {
    let world = world(&[]);
    world.create_service(seed(1));
    deploy(&world, "better");
    let statuses = || {
        let tasks = world.tasks("default");
        (tasks[0].status.clone(), tasks.get(1).map(|task| task.status.clone()))
    };
    let expected = |old: &str, new: &str| (old.to_owned(), Some(new.to_owned()));
    assert_eq!(statuses(), ("RUNNING".to_owned(), None));
    seconds(3).await;
    assert_eq!(statuses(), expected("RUNNING", "PROVISIONING"));
    seconds(12).await;
    assert_eq!(statuses(), expected("RUNNING", "PENDING"));
    seconds(13).await;
    assert_eq!(statuses(), expected("RUNNING", "RUNNING"));
    assert!(target_health(&world).contains("<State>initial</State><Reason>Elb.InitialHealthChecking</Reason>"));
    seconds(20).await;
    assert_eq!(statuses(), expected("DEACTIVATING", "RUNNING"));
    assert!(target_health(&world).contains("<State>draining</State>"));
    assert!(target_health(&world).contains("<State>healthy</State>"));
    seconds(30).await;
    assert_eq!(statuses(), expected("STOPPED", "RUNNING"));
    assert!(!target_health(&world).contains("draining"));
    let new = world.tasks("default")[1].id.clone();
    assert_eq!(log(&world, &new), ["listening on :8080, version better"]);
    seconds(3600).await;
    assert_eq!(world.tasks("default").len(), 1, "a stopped task is forgotten after an hour");
}

#[tokio::test(start_paused = true)]
async fn the_same_task_definition_is_no_deployment_unless_it_is_forced() {
    let world = world(&[]);
    let arn = world.create_service(seed(1));
    let before = service(&world)["deployments"][0]["id"].clone();
    let update = |force: bool| json!({ "service": "auth", "taskDefinition": arn, "forceNewDeployment": force });
    let same = ask(&world, "UpdateService", update(false));
    assert_eq!(same["service"]["deployments"][0]["id"], before);
    seconds(60).await;
    assert_eq!(world.service("default", "auth").expect("a service").service_deployments, ["SUCCESSFUL"]);
    let forced = ask(&world, "UpdateService", update(true));
    assert_ne!(forced["service"]["deployments"][0]["id"], before);
    seconds(120).await;
    assert_eq!(world.service("default", "auth").expect("a service").service_deployments, ["SUCCESSFUL", "SUCCESSFUL"]);
}

#[tokio::test(start_paused = true)]
async fn another_deployment_replaces_the_one_in_flight() {
    let world = world(&[("third", "world.serves", "serves")]);
    world.create_service(seed(1));
    deploy(&world, "better");
    seconds(20).await;
    let replaced = service_deployment(&world)["serviceDeploymentArn"].clone();
    deploy(&world, "third");
    let status = || {
        ask(&world, "DescribeServiceDeployments", json!({ "serviceDeploymentArns": [replaced] }))["serviceDeployments"]
            [0]
        .clone()
    };
    assert_eq!(status()["status"], "STOP_REQUESTED");
    seconds(2).await;
    assert_eq!(status()["status"], "STOPPED");
    assert_eq!(status()["statusReason"], "Replaced by a new service deployment");
    seconds(120).await;
    assert_eq!(service_deployment(&world)["status"], "SUCCESSFUL");
    assert_eq!(request(&world), (200, "third".to_owned()));
    let seen = world.service("default", "auth").expect("a service");
    assert_eq!(seen.service_deployments, ["SUCCESSFUL", "STOPPED", "SUCCESSFUL"]);
}

#[tokio::test(start_paused = true)]
async fn scales_up_and_down_without_a_deployment() {
    let world = world(&[]);
    world.create_service(seed(1));
    for desired in [3, 1, 0] {
        ask(&world, "UpdateService", json!({ "service": "auth", "desiredCount": desired }));
        seconds(90).await;
        let seen = world.service("default", "auth").expect("a service");
        assert_eq!((seen.running, seen.service_deployments.len()), (desired, 1));
    }
    assert_eq!(request(&world).0, 503);
}

#[tokio::test(start_paused = true)]
async fn with_no_spare_capacity_the_old_task_goes_first() {
    let world = world(&[]);
    world.create_service(ServiceSeed { minimum_healthy_percent: 0, maximum_percent: 100, ..seed(1) });
    deploy(&world, "better");
    seconds(10).await;
    assert_eq!(request(&world).0, 503, "its only task drains");
    seconds(110).await;
    assert_eq!(request(&world), (200, "better".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_service_drains_and_is_inactive() {
    let world = world(&[]);
    world.create_service(seed(1));
    world.delete_service("default", "auth");
    assert_eq!(service(&world)["status"], "DRAINING");
    assert_eq!(refused(&world, "UpdateService", json!({ "service": "auth" })).code, "ServiceNotActiveException");
    seconds(60).await;
    assert_eq!(service(&world)["status"], "INACTIVE");
    assert_eq!(ask(&world, "ListServices", json!({}))["serviceArns"], json!([]));
    world.create_service(seed(1));
    assert_eq!(service(&world)["status"], "ACTIVE");
}
