//! What was measured: judged by what came after the deployment, beside what was usual before.

use super::*;

/// The target group's metrics, minute by minute from now on.
fn traffic(stage: &Stage, requests: f64, errors: Option<f64>, seconds: f64) {
    let measure = |metric: &str, statistic: &str, value| {
        stage.world.measure("AWS/ApplicationELB", metric, statistic, value, Duration::ZERO);
    };
    measure("RequestCount", "Sum", Some(requests));
    measure("HTTPCode_Target_5XX_Count", "Sum", errors);
    measure("TargetResponseTime", "p95", Some(seconds));
    measure("TargetResponseTime", "Average", Some(seconds / 2.0));
}

#[tokio::test(start_paused = true)]
async fn metrics_are_judged_by_what_was_measured_after_the_deployment() {
    let metrics = "alb-response-time\nalb-error-rate\necs-cpu";
    let inputs = [("services", "auth"), ("metrics", metrics), ("interval", "30s"), ("timeout", "20m")];
    for (errors, seconds, cpu, result) in [
        (None, 0.2, 40.0, "healthy"),
        (Some(2.0), 0.2, 40.0, "degraded"),
        (Some(10.0), 0.2, 40.0, "unhealthy"),
        (None, 4.0, 40.0, "unhealthy"),
        (None, 0.2, 75.0, "degraded"),
        (None, 0.2, 95.0, "unhealthy"),
    ] {
        let stage = stage();
        traffic(&stage, 100.0, errors, seconds);
        stage.world.measure("AWS/ECS", "CPUUtilization", "Average", Some(cpu), Duration::ZERO);
        let ran = watch(&stage, &inputs).await;
        assert_eq!(ending(&ran).1, result, "{errors:?} errors, {seconds} s, {cpu} %\n{}", ran.log);
        if result == "healthy" {
            assert_snapshot!(stable(&ran.summary));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_before_the_deployment_is_not_blamed_on_it() {
    let stage = stage();
    // A fault that ends while the new version settles.
    stage.world.measure("AWS/ECS", "CPUUtilization", "Average", Some(99.0), Duration::ZERO);
    stage.world.measure("AWS/ECS", "CPUUtilization", "Average", Some(20.0), Duration::from_secs(60));
    let ran = watch(&stage, &[("services", "auth"), ("metrics", "ecs-cpu"), ("settle", "2m")]).await;
    assert_eq!(ending(&ran).1, "healthy", "{}", ran.log);
}

#[tokio::test(start_paused = true)]
async fn no_traffic_is_no_health() {
    let stage = stage();
    let inputs = [("services", "auth"), ("metrics", "alb-error-rate"), ("timeout", "10m")];
    let ran = watch(&stage, &inputs).await;
    assert_eq!((ending(&ran).0, ending(&ran).1), (1, "undecided"), "{}", ran.log);
    assert_eq!(check(&ran, "alb-error-rate"), ("no data".to_owned(), "no data".to_owned()));
    traffic(&stage, 3.0, Some(1.0), 0.1);
    let ran = watch(&stage, &inputs).await;
    assert_eq!(ending(&ran).1, "undecided", "one error of three requests says nothing: {}", ran.log);
    // Who knows that there is no traffic says so.
    let ran = watch(&stage, &[inputs[0], inputs[1], inputs[2], ("optional", "alb-error-rate")]).await;
    assert_eq!((ending(&ran).0, ending(&ran).1), (0, "degraded"), "{}", ran.log);
}

#[tokio::test(start_paused = true)]
async fn metrics_that_nobody_may_read_decide_nothing() {
    let stage = stage();
    stage.world.script("cloudwatch:GetMetricData", Fault::Denied, 100);
    let ran = watch(&stage, &[("services", "auth"), ("metrics", "ecs-cpu")]).await;
    assert_eq!((ending(&ran).0, ending(&ran).1), (1, "undecided"), "{}", ran.log);
}

#[tokio::test(start_paused = true)]
async fn a_metric_of_ones_own_has_limits_of_its_own() {
    let stage = stage();
    let own = r#"
[services.auth.health.metrics.connections]
namespace = "AWS/RDS"
metric = "DatabaseConnections"
dimensions = { DBInstanceIdentifier = "shop-${ENVIRONMENT}" }
statistic = "Maximum"
warn = 80
points = 1
sustained = 1
"#;
    stage.file("delivery.toml", format!("{DELIVERY}{own}"));
    for (connections, result) in [(50.0, "healthy"), (90.0, "degraded")] {
        stage.world.measure("AWS/RDS", "DatabaseConnections", "Maximum", Some(connections), Duration::ZERO);
        let ran = watch(&stage, &[("services", "auth")]).await;
        assert_eq!(ending(&ran).1, result, "{}", ran.log);
    }
    let calls = stage.world.calls();
    let asked = calls.iter().find(|call| call.name == "cloudwatch:GetMetricData").expect("a call");
    let dimension = &asked.body["MetricDataQueries"][0]["MetricStat"]["Metric"]["Dimensions"][0];
    assert_eq!(*dimension, json!({ "Name": "DBInstanceIdentifier", "Value": "shop-production" }));
}

#[tokio::test(start_paused = true)]
async fn what_cloudwatch_calls_partial_is_asked_for_again() {
    let stage = stage();
    stage.world.measure("AWS/ECS", "CPUUtilization", "Average", Some(20.0), Duration::ZERO);
    stage.world.answer_partially_for(Duration::from_mins(9));
    let inputs = [("services", "auth"), ("metrics", "ecs-cpu"), ("interval", "30s"), ("timeout", "20m")];
    let began = Instant::now();
    let ran = watch(&stage, &inputs).await;
    assert_eq!(ending(&ran).1, "healthy", "{}", ran.log);
    assert_eq!(began.elapsed(), Duration::from_mins(9), "as soon as CloudWatch has it all");
    assert!(ran.log.contains("ecs-cpu: CloudWatch answered `PartialData`"), "{}", ran.log);
    // What is never whole is never judged.
    stage.world.answer_partially_for(Duration::from_hours(1));
    let ran = watch(&stage, &inputs).await;
    assert_eq!((ran.exit_code, ending(&ran).1), (1, "undecided"), "{}", ran.log);
    assert_eq!(check(&ran, "ecs-cpu"), ("no data".to_owned(), "CloudWatch answered `PartialData`".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn what_was_usual_before_is_shown_beside_and_decides_nothing() {
    let stage = Stage::new();
    stage.file("delivery.toml", DELIVERY);
    let digest = push(&stage, "auth", COMMIT, "serves");
    let inputs = [("services", "auth"), ("metrics", "ecs-cpu\necs-memory"), ("timeout", "20m")];
    stage.world.measure("AWS/ECS", "CPUUtilization", "Average", Some(20.0), Duration::ZERO);
    tokio::time::advance(Duration::from_mins(10)).await;
    add(&stage, "auth", &digest);
    for (metric, value) in [("CPUUtilization", 60.0), ("MemoryUtilization", 50.0)] {
        stage.world.measure("AWS/ECS", metric, "Average", Some(value), Duration::ZERO);
    }
    let ran = watch(&stage, &inputs).await;
    assert_eq!(ending(&ran).1, "healthy", "three times as much as before, and within its limits\n{}", ran.log);
    let report: Value = serde_json::from_str(ran.output("json")).expect("JSON");
    let series = &report["services"][0]["series"];
    assert_eq!((&series[1]["name"], &series[1]["before"]), (&json!("ecs-cpu"), &json!(20.0)));
    assert_eq!(
        (&series[2]["name"], &series[2]["before"]),
        (&json!("ecs-memory"), &Value::Null),
        "nothing was measured"
    );
    assert_snapshot!(stable(&ran.summary));
}
