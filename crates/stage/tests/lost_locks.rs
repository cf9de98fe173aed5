//! Locks that are lost while their run works, and locks that a run leaves behind.

use std::time::Duration;

use common::lock::{Claim, LASTS, Lock, Lost, OnHeld, Released, Taking};
use common::poll::pause;
use stage::Stage;
use tokio::time::advance;
use world::Fault;

use crate::lock::{PATH, minutes, take, taken};
use crate::place::run;

#[tokio::test(start_paused = true)]
async fn a_lock_taken_by_force_is_noticed_before_the_next_change() {
    let stage = Stage::new();
    let (first, second) = (run(&stage, 1, None).await, run(&stage, 2, None).await);
    let lock = taken(&first).await;
    let work = async {
        assert!(lock.confirm().await.unwrap());
        let Taking::TakenOver { lock: theirs, from } = take(&second, OnHeld::TakeOver).await else {
            panic!("not taken")
        };
        assert_eq!(from.holder, lock.claim().holder);
        assert!(!lock.confirm().await.unwrap());
        // Whoever lost it writes to it no more.
        pause(minutes(1), &first.edges.stop).await;
        theirs
    };
    let theirs = lock.keep(&first.edges, work).await;
    assert!(matches!(lock.lost(), Some(Lost::To(held)) if held.holder == theirs.claim().holder));
    assert!(matches!(lock.release().await.unwrap(), Released::Another(_)));
    assert!(theirs.confirm().await.unwrap());
    assert_eq!(theirs.release().await.unwrap(), Released::Released);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_wakes_up_while_its_lock_is_taken_over_holds_it_or_not_but_never_both() {
    let (mut kept, mut lost) = (0, 0);
    for seed in 0..40 {
        let stage = Stage::new();
        let (sleeper, other) = (run(&stage, 1, Some(seed)).await, run(&stage, 2, Some(seed)).await);
        let lock = taken(&sleeper).await;
        advance(LASTS + Duration::from_secs(1)).await;
        let wait = OnHeld::Wait(Duration::from_secs(4));
        let (confirmed, taking) = tokio::join!(lock.confirm(), take(&other, wait));
        match taking {
            Taking::TakenOver { lock: theirs, .. } => {
                assert!(!confirmed.unwrap() && !lock.confirm().await.unwrap(), "seed {seed}");
                assert!(theirs.confirm().await.unwrap(), "seed {seed}");
                lost += 1;
            }
            Taking::TimedOut(Some(_)) => {
                assert!(confirmed.unwrap() && lock.confirm().await.unwrap(), "seed {seed}");
                kept += 1;
            }
            other => panic!("seed {seed}: {other:?}"),
        }
    }
    assert!(kept > 0 && lost > 0, "{kept} kept, {lost} lost: the seeds tell one story alone");
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_somebody_deleted_is_lost_and_does_not_come_back() {
    let stage = Stage::new();
    let run = run(&stage, 1, None).await;
    let lock = taken(&run).await;
    run.ssm.delete_parameter(PATH).await.unwrap();
    assert!(!lock.confirm().await.unwrap());
    assert_eq!(lock.lost(), Some(Lost::Deleted));
    lock.keep(&run.edges, pause(minutes(2), &run.edges.stop)).await;
    assert_eq!((lock.release().await.unwrap(), stage.world.parameter(PATH)), (Released::Gone, None));
}

#[tokio::test(start_paused = true)]
async fn a_lock_whose_renewal_fails_for_a_while_is_kept() {
    let stage = Stage::new();
    let run = run(&stage, 1, None).await;
    let lock = taken(&run).await;
    // Five attempts each: two renewals in a row.
    stage.world.script("ssm:PutParameter", Fault::Unavailable, 10);
    lock.keep(&run.edges, pause(minutes(5), &run.edges.stop)).await;
    assert!(lock.confirm().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn the_post_step_releases_what_the_run_left_behind_and_nothing_else() {
    let stage = Stage::new();
    let (first, second) = (run(&stage, 1, None).await, run(&stage, 2, None).await);
    let state = taken(&first).await.claim().to_state().unwrap();
    let claim = Claim::from_state(&state).unwrap();
    assert_eq!(Lock::release_left_behind(&second.ssm, &claim).await.unwrap(), Released::Released);
    assert_eq!(Lock::release_left_behind(&second.ssm, &claim).await.unwrap(), Released::Gone);
    let theirs = taken(&second).await;
    let kept = Lock::release_left_behind(&first.ssm, &claim).await.unwrap();
    assert!(matches!(kept, Released::Another(held) if held.holder == theirs.claim().holder));
    assert!(theirs.confirm().await.unwrap());
}
