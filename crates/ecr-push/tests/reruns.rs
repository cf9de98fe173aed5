//! The same commit once more: the image that is there stays, and what is another image does not hide behind its tag.

use insta::assert_snapshot;
use stage::{COMMIT, steady};
use world::Fault;

use crate::refusals::check;
use crate::shop::{Shop, push, shop};

/// A shop whose registry has the commit's image of `auth` already.
async fn pushed() -> Shop {
    let shop = shop().await;
    let (ran, _) = shop.push(&[("services", "auth")]).await;
    assert_eq!(ran.output("result"), "pushed", "{}", ran.log);
    shop
}

#[tokio::test]
async fn a_job_that_is_run_again_asks_twice_and_is_done() {
    let shop = pushed().await;
    let before = shop.stage.world.calls().len();
    let (ran, _) = shop.push(&[("services", "auth"), ("tags", "main")]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("unchanged", 0), "{}", ran.log);
    let calls = |from: usize| -> Vec<String> {
        let calls = shop.stage.world.calls().split_off(from);
        calls.into_iter().map(|call| call.name).filter(|name| name.starts_with("ecr:")).collect()
    };
    assert_eq!(calls(before), ["ecr:DescribeRepositories", "ecr:BatchGetImage", "ecr:PutImage"]);
    let before = shop.stage.world.calls().len();
    shop.push(&[("services", "auth"), ("tags", "main")]).await;
    assert_eq!(calls(before), ["ecr:DescribeRepositories", "ecr:BatchGetImage"], "the tag is there");
}

#[tokio::test]
async fn the_same_commit_built_anew_leaves_the_first_image_there() {
    let shop = pushed().await;
    let first = shop.digest("shop/auth", COMMIT);
    shop.build("auth", "2", Some(COMMIT)).await;
    let (ran, writes) = shop.push(&[("services", "auth")]).await;
    assert_eq!(
        (ran.output("result"), ran.output("digest"), ran.exit_code),
        ("unchanged", first.as_str(), 0),
        "{}",
        ran.log
    );
    assert_eq!(writes, [""; 0]);
    assert_snapshot!("rebuilt_log", steady(&ran.log));
    // Who wants to know of every difference is told.
    check(&shop.stage, &[("services", "auth"), ("on-existing", "fail")], 2).await;
}

/// A text without its moments and ids.
fn undated(text: &str) -> String {
    let is_date = |word: &str| word.len() == 10 && word.starts_with("20") && word.as_bytes()[4] == b'-';
    let is_time = |word: &str| word.len() == 5 && word.as_bytes()[2] == b':';
    let word = |word| match word {
        word if is_date(word) => "DATE",
        word if is_time(word) => "TIME",
        word => word,
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn another_image_behind_the_commit_s_tag() {
    let shop = pushed().await;
    let first = shop.digest("shop/auth", COMMIT);
    shop.build("auth", "2", None).await;
    assert_snapshot!("other_image", undated(&check(&shop.stage, &[("services", "auth")], 2).await));
    shop.build("auth", "2", Some(&COMMIT.replace('0', "f"))).await;
    let told = check(&shop.stage, &[("services", "auth")], 2).await;
    assert_snapshot!("other_image_of_another_commit", undated(&told));
    let (ran, writes) = shop.push(&[("services", "auth"), ("on-existing", "keep")]).await;
    assert_eq!((ran.output("result"), ran.output("digest")), ("unchanged", first.as_str()), "{}", ran.log);
    assert_eq!(writes, [""; 0]);
    assert!(ran.log.contains("note: the image here is another one; the one in the registry stays"), "{}", ran.log);
}

#[tokio::test]
async fn two_jobs_at_once_both_succeed() {
    let shop = shop().await;
    let other = shop.stage.another_run();
    let inputs = [("services", "auth"), ("tags", "main")];
    let ((one, _), (two, _)) = tokio::join!(push(&shop.stage, &inputs), push(&other, &inputs));
    for ran in [&one, &two] {
        assert_eq!(
            (ran.exit_code, ran.output("digest")),
            (0, shop.digest("shop/auth", COMMIT).as_str()),
            "{}",
            ran.log
        );
    }
}

#[tokio::test]
async fn an_image_that_another_run_pushed_meanwhile_stays() {
    let shop = shop().await;
    // The other run is faster: it pushes its own build of the commit between our look and our push.
    let (other, world) = (pushed_elsewhere(), shop.stage.world.clone());
    let is_done = std::sync::atomic::AtomicBool::new(false);
    shop.stage.on_answer(move |operation, _| {
        if operation == "GetAuthorizationToken" && !is_done.swap(true, std::sync::atomic::Ordering::SeqCst) {
            world.push_image(other.clone());
        }
    });
    let (ran, _) = shop.push(&[("services", "auth")]).await;
    assert_eq!(
        (ran.output("result"), ran.output("digest"), ran.exit_code),
        ("unchanged", shop.digest("shop/auth", COMMIT).as_str(), 0),
        "{}",
        ran.log
    );
    assert_snapshot!("pushed_meanwhile_summary", steady(&ran.summary));
}

fn pushed_elsewhere() -> world::ImageSeed {
    world::ImageSeed { repository: "shop/auth".into(), tag: COMMIT.into(), user: "65532".into(), ..Default::default() }
}

#[tokio::test]
async fn a_lost_answer_is_no_second_push() {
    let shop = shop().await;
    shop.stage.world.script("ecr:PutImage", Fault::AnswerLost, 1);
    let (ran, _) = shop.push(&[("services", "auth"), ("tags", "main")]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("pushed", 0), "{}", ran.log);
}
