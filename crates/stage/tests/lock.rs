//! Taking and releasing the lock of an environment.

use std::cell::Cell;
use std::time::Duration;

use common::edges::Edges;
use common::lock::{Claim, LASTS, Lock, OnHeld, Released, Taking};
use common::poll::pause;
use futures_util::future::join_all;
use stage::Stage;
use tokio::time::{Instant, advance};
use world::Fault;

use crate::place::{Run, run, timeless_run};

pub(crate) const PATH: &str = "/delivery/shop/production/lock";

const WAIT: OnHeld = OnHeld::Wait(Duration::from_secs(3600));

pub(crate) fn claim(edges: &Edges) -> Claim {
    Claim::new(&"shop".parse().unwrap(), &"production".parse().unwrap(), edges.runner.environment())
}

pub(crate) async fn take(run: &Run, on_held: OnHeld) -> Taking {
    Lock::take(&run.ssm, claim(&run.edges), on_held, &run.edges).await.unwrap()
}

/// The lock, which is free.
pub(crate) async fn taken(run: &Run) -> Lock {
    match take(run, OnHeld::Refuse).await {
        Taking::Taken(lock) => lock,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

#[tokio::test(start_paused = true)]
async fn of_many_runs_one_holds_the_lock_at_a_time() {
    for seed in 0..12 {
        let stage = Stage::new();
        let (inside, served) = (Cell::new(0), Cell::new(0));
        let deliver = async |number: u64| {
            let run = run(&stage, number, Some(seed)).await;
            let Taking::Taken(lock) = take(&run, WAIT).await else { panic!("seed {seed}: not taken") };
            inside.set(inside.get() + 1);
            assert_eq!(inside.get(), 1, "seed {seed}");
            let work = async {
                assert!(lock.confirm().await.unwrap(), "seed {seed}");
                pause(minutes(number), &run.edges.stop).await;
                assert!(lock.confirm().await.unwrap(), "seed {seed}");
            };
            lock.keep(&run.edges, work).await;
            inside.set(inside.get() - 1);
            served.set(served.get() + 1);
            assert_eq!(lock.release().await.unwrap(), Released::Released, "seed {seed}");
        };
        join_all((1..=4).map(deliver)).await;
        assert_eq!((served.get(), stage.world.parameter(PATH)), (4, None), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_ran_out_is_taken_over_by_one() {
    for seed in 0..20 {
        let stage = Stage::new();
        let dead = run(&stage, 1, None).await;
        let left = taken(&dead).await;
        advance(LASTS + Duration::from_secs(1)).await;
        let (inside, from_the_dead) = (Cell::new(0), Cell::new(0));
        let deliver = async |number: u64| {
            let run = run(&stage, number, Some(seed)).await;
            let lock = match take(&run, WAIT).await {
                Taking::Taken(lock) => lock,
                Taking::TakenOver { lock, from } => {
                    assert_eq!(from.holder, left.claim().holder, "seed {seed}");
                    from_the_dead.set(from_the_dead.get() + 1);
                    lock
                }
                other => panic!("seed {seed}: {other:?}"),
            };
            inside.set(inside.get() + 1);
            assert_eq!(inside.get(), 1, "seed {seed}");
            assert!(lock.confirm().await.unwrap(), "seed {seed}");
            lock.keep(&run.edges, pause(minutes(3), &run.edges.stop)).await;
            assert!(lock.confirm().await.unwrap(), "seed {seed}");
            inside.set(inside.get() - 1);
            lock.release().await.unwrap();
        };
        join_all((2..=4).map(deliver)).await;
        assert_eq!(from_the_dead.get(), 1, "seed {seed}");
        assert!(!left.confirm().await.unwrap(), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_held_is_refused_or_waited_for() {
    let stage = Stage::new();
    let (first, second) = (run(&stage, 1, None).await, run(&stage, 2, None).await);
    let lock = taken(&first).await;
    let Taking::Refused(held) = take(&second, OnHeld::Refuse).await else { panic!("it is held") };
    assert_eq!(
        held.to_string(),
        "octocat (https://github.example.com/org/shop/actions/runs/1) since 2026-01-05 09:00:00 UTC"
    );

    let started = Instant::now();
    let impatient = take(&second, OnHeld::Wait(Duration::from_secs(60)));
    let Taking::TimedOut(Some(held)) = lock.keep(&first.edges, impatient).await else { panic!("it is held") };
    assert_eq!(
        (held.holder.run, started.elapsed()),
        (first.edges.runner.environment().run_url(), Duration::from_secs(60))
    );

    let work = pause(minutes(20), &first.edges.stop);
    let (_, taking) = tokio::join!(
        async {
            lock.keep(&first.edges, work).await;
            lock.release().await.unwrap()
        },
        take(&second, WAIT)
    );
    assert!(matches!(taking, Taking::Taken(_)), "{taking:?}");
    assert!(started.elapsed() <= minutes(21) + Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_waits_no_longer() {
    let stage = Stage::new();
    let (first, second) = (run(&stage, 1, None).await, run(&stage, 2, None).await);
    let lock = taken(&first).await;
    let started = Instant::now();
    let cancel = async {
        pause(Duration::from_secs(7), &first.edges.stop).await;
        stage.stopper.raise();
    };
    let (taking, ()) = tokio::join!(take(&second, WAIT), cancel);
    let Taking::Cancelled(Some(held)) = taking else { panic!("{taking:?}") };
    assert_eq!((held.holder, started.elapsed()), (lock.claim().holder.clone(), Duration::from_secs(7)));
    assert!(matches!(take(&second, WAIT).await, Taking::Cancelled(None)));
    assert!(lock.confirm().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn where_aws_does_not_tell_the_time_a_lock_is_watched_until_it_has_run_out() {
    let stage = Stage::new();
    let left = taken(&timeless_run(&stage, 1).await).await;
    advance(minutes(60)).await;
    let started = Instant::now();
    let taking = take(&timeless_run(&stage, 2).await, WAIT).await;
    let Taking::TakenOver { lock, from } = taking else { panic!("{taking:?}") };
    assert_eq!(from.holder, left.claim().holder);
    assert!((LASTS..LASTS + Duration::from_secs(10)).contains(&started.elapsed()), "{:?}", started.elapsed());
    assert!(lock.confirm().await.unwrap() && !left.confirm().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_costs_nobody_the_lock() {
    for lost in ["ssm:PutParameter", "ssm:GetParameterHistory", "ssm:GetParameter"] {
        let stage = Stage::new();
        let run = run(&stage, 1, None).await;
        stage.world.script(lost, Fault::AnswerLost, 1);
        let lock = taken(&run).await;
        advance(minutes(1)).await;
        stage.world.script(lost, Fault::AnswerLost, 1);
        assert!(lock.confirm().await.unwrap(), "{lost}");
        assert_eq!(lock.release().await.unwrap(), Released::Released, "{lost}");
    }
}

#[tokio::test(start_paused = true)]
async fn something_else_at_the_locks_path_is_left_alone() {
    let stage = Stage::new();
    stage.world.put_parameter(PATH, "hunter2");
    let run = run(&stage, 1, None).await;
    let failure = Lock::take(&run.ssm, claim(&run.edges), OnHeld::TakeOver, &run.edges).await.unwrap_err();
    assert!(failure.to_string().contains("holds something else than a lock"), "{failure}");
    assert_eq!(stage.world.parameter(PATH).as_deref(), Some("hunter2"));
}
