//! Alarms that watch over deployments.

use super::*;

fn watched(strategy: &str, rollback: bool) -> ServiceSeed {
    ServiceSeed {
        deployment_configuration: json!({
            "strategy": strategy, "bakeTimeInMinutes": 10,
            "alarms": { "alarmNames": ["errors", "latency"], "enable": true, "rollback": rollback },
        }),
        circuit_breaker: None,
        ..seed(1)
    }
}

fn alarms(world: &World) -> Value {
    service_deployment(world)["alarms"].clone()
}

fn calm_world() -> World {
    let world = world(&[]);
    world.set_alarm("errors", "OK");
    world.set_alarm("latency", "INSUFFICIENT_DATA");
    world
}

#[tokio::test(start_paused = true)]
async fn an_alarm_that_goes_off_rolls_the_deployment_back() {
    for strategy in ["ROLLING", "BLUE_GREEN"] {
        let world = calm_world();
        world.create_service(watched(strategy, true));
        deploy(&world, "better");
        until(&world, "BAKE_TIME").await;
        assert_eq!(
            alarms(&world),
            json!({ "status": "MONITORING", "alarmNames": ["errors", "latency"], "triggeredAlarmNames": [] })
        );
        world.set_alarm_after("latency", "ALARM", Duration::from_secs(120));
        seconds(119).await;
        assert_eq!(stage(&world).0, "BAKE_TIME");
        seconds(1).await;
        let deployment = service_deployment(&world);
        assert_eq!(
            (&deployment["status"], &deployment["alarms"]["status"]),
            (&json!("ROLLBACK_REQUESTED"), &json!("TRIGGERED"))
        );
        assert_eq!(deployment["alarms"]["triggeredAlarmNames"], json!(["latency"]));
        until(&world, "ROLLBACK_SUCCESSFUL").await;
        assert_eq!(request(&world), (200, "good".to_owned()));
        assert!(says(&world, "deployment failed: alarm detected."));
    }
}

#[tokio::test(start_paused = true)]
async fn an_alarm_is_noticed_whenever_it_was_set() {
    let world = calm_world();
    world.create_service(watched("ROLLING", true));
    deploy(&world, "better");
    until(&world, "BAKE_TIME").await;
    world.set_alarm("errors", "ALARM");
    seconds(1).await;
    assert_eq!(service_deployment(&world)["status"], "ROLLBACK_REQUESTED");
    until(&world, "ROLLBACK_SUCCESSFUL").await;
}

#[tokio::test(start_paused = true)]
async fn an_alarm_without_rollback_stops_the_deployment() {
    let world = calm_world();
    world.create_service(watched("ROLLING", false));
    deploy(&world, "better");
    until(&world, "BAKE_TIME").await;
    world.set_alarm("errors", "ALARM");
    until(&world, "STOPPED").await;
    assert_eq!(service(&world)["deployments"][0]["rolloutState"], "FAILED");
    assert_eq!(request(&world), (200, "better".to_owned()), "nothing is put back");
}

#[tokio::test(start_paused = true)]
async fn an_alarm_that_was_there_before_has_all_of_them_ignored() {
    let world = calm_world();
    world.create_service(watched("ROLLING", true));
    world.set_alarm("errors", "ALARM");
    deploy(&world, "better");
    until(&world, "BAKE_TIME").await;
    assert_eq!(alarms(&world)["status"], "DISABLED");
    world.set_alarm("latency", "ALARM");
    until(&world, "SUCCESSFUL").await;
}

#[tokio::test(start_paused = true)]
async fn after_the_deployment_an_alarm_is_somebody_elses() {
    let world = calm_world();
    world.create_service(watched("ROLLING", true));
    deploy(&world, "better");
    until(&world, "SUCCESSFUL").await;
    assert_eq!(alarms(&world)["status"], "MONITORING_COMPLETE");
    world.set_alarm("errors", "ALARM");
    seconds(600).await;
    assert_eq!(service_deployment(&world)["status"], "SUCCESSFUL");
}

#[tokio::test(start_paused = true)]
async fn the_first_deployment_ever_stalls_when_an_alarm_goes_off() {
    let world = calm_world();
    world.create_service(ServiceSeed { just_created: true, ..watched("ROLLING", true) });
    until(&world, "BAKE_TIME").await;
    world.set_alarm("errors", "ALARM");
    seconds(3600).await;
    let deployment = service_deployment(&world);
    assert_eq!((&deployment["status"], &deployment["alarms"]["status"]), (&json!("IN_PROGRESS"), &json!("TRIGGERED")));
    assert_eq!(service(&world)["deployments"][0]["rolloutState"], "FAILED");
}
