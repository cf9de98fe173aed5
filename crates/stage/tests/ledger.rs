//! The release ledger in Parameter Store.

use common::ledger::{Entry, Ledger, Placed, Target};
use stage::Stage;

use crate::place::{Run, run};

const PATH: &str = "/delivery/shop/production/release";

fn ledger(run: &Run) -> Ledger {
    Ledger::of(&run.ssm, &"shop".parse().unwrap(), &"production".parse().unwrap())
}

fn entry(release: u64, outcome: &str, services: usize) -> Entry {
    let placed = |number: usize| {
        let task_definition = format!("shop-production-service-{number}:{release}");
        let image = format!("sha256:{number:064x}").parse().ok();
        (format!("service-{number}").parse().unwrap(), Placed { task_definition, image, commit: None })
    };
    Entry {
        release,
        operation: "deploy".to_owned(),
        outcome: outcome.to_owned(),
        commit: format!("{release:040x}").parse().ok(),
        by: Some("octocat".to_owned()),
        run: None,
        at: "2026-01-05T09:00:00Z".parse().unwrap(),
        restores: None,
        services: (0..services).map(placed).collect(),
    }
}

#[tokio::test(start_paused = true)]
async fn the_history_has_each_release_once_by_its_last_word() {
    let stage = Stage::new();
    let ledger = ledger(&run(&stage, 1, None).await);
    assert_eq!(ledger.latest().await.unwrap(), None);
    assert_eq!(ledger.history().await.unwrap().entries, []);
    for release in 1..=60 {
        for outcome in ["deploying", "deployed"] {
            ledger.write(&entry(release, outcome, 3)).await.unwrap();
        }
    }
    ledger.write(&entry(61, "deploying", 3)).await.unwrap();
    assert_eq!(ledger.latest().await.unwrap(), Some(entry(61, "deploying", 3)));
    let history = ledger.history().await.unwrap();
    // Of a hundred versions.
    assert_eq!((history.entries.len(), history.unreadable.len()), (51, 0));
    assert_eq!(history.entries[1], entry(60, "deployed", 3));
    assert_eq!(Entry::find(&history.entries, &Target::Previous).unwrap().release, 60);
}

#[tokio::test(start_paused = true)]
async fn a_release_of_many_services_is_written_in_parts() {
    let stage = Stage::new();
    let ledger = ledger(&run(&stage, 1, None).await);
    for (release, services) in [(1, 200), (2, 3), (3, 120)] {
        ledger.write(&entry(release, "deploying", services)).await.unwrap();
        ledger.write(&entry(release, "deployed", services)).await.unwrap();
        assert_eq!(ledger.latest().await.unwrap(), Some(entry(release, "deployed", services)));
    }
    let history = ledger.history().await.unwrap();
    let expected = [entry(3, "deployed", 120), entry(2, "deployed", 3), entry(1, "deployed", 200)];
    assert_eq!((history.entries.as_slice(), history.unreadable.len()), (expected.as_slice(), 0));
}

#[tokio::test(start_paused = true)]
async fn a_part_that_is_missing_is_told_and_costs_no_other_release() {
    let stage = Stage::new();
    let run = run(&stage, 1, None).await;
    let ledger = ledger(&run);
    ledger.write(&entry(1, "deployed", 3)).await.unwrap();
    ledger.write(&entry(2, "deployed", 120)).await.unwrap();
    run.ssm.delete_parameter(&format!("{PATH}-2")).await.unwrap();
    let told = "part 2 of 2 of release 2 is missing: `/delivery/shop/production/release-2` does not hold it";
    let failure = ledger.latest().await.unwrap_err().to_string();
    assert!(failure.contains(told), "{failure}");
    let history = ledger.history().await.unwrap();
    assert_eq!(history.entries, [entry(1, "deployed", 3)]);
    assert!(history.unreadable[0].to_string().contains(told));
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_is_not_ours_is_told_and_costs_no_other_release() {
    let stage = Stage::new();
    let ledger = ledger(&run(&stage, 1, None).await);
    ledger.write(&entry(1, "deployed", 3)).await.unwrap();
    for (value, told) in
        [("hunter2", "holds something else than a release ledger"), (r#"{"v":9}"#, "written in form 9")]
    {
        stage.world.put_parameter(PATH, value);
        let failure = ledger.latest().await.unwrap_err().to_string();
        assert!(failure.contains(told) && !failure.contains("hunter2"), "{failure}");
        let history = ledger.history().await.unwrap();
        assert_eq!(history.entries, [entry(1, "deployed", 3)]);
        assert!(history.unreadable[0].to_string().contains(told));
    }
}
