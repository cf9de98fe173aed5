//! What is refused before anything is touched.

use insta::assert_snapshot;

use crate::shop::{migrate, stage};

#[tokio::test(start_paused = true)]
async fn bad_input_changes_nothing_and_says_what_to_do() {
    let told = async |inputs: &[(&str, &str)]| {
        let stage = stage("exits 0 after 2 s");
        stage.file("broken.json", "{ \"family\": ");
        let ran = migrate(&stage, inputs).await;
        assert!(stage.world.writes().is_empty());
        assert_eq!((ran.output("result"), ran.annotations().len()), ("failed", 1), "{inputs:?}\n{}", ran.log);
        format!("{}: {}\n", ran.exit_code, ran.annotations().join("\n"))
    };
    let mut all = String::new();
    for inputs in [
        &[("command", "a && b"), ("subnets", "private"), ("image", "shop/auth:latest"), ("assign-public-ip", "yes")][..],
        &[("command", "npm run migrate")],
        &[("services", "auth"), ("image", "shop/auth:latest")],
        &[("services", "auth"), ("container", "web")],
        &[("services", "auth"), ("service", "authentication")],
        &[("services", "auth"), ("task-definition", "missing.json")],
        &[("services", "auth"), ("task-definition", "broken.json")],
        &[("services", "auth"), ("commit", "ffffffffffffffffffffffffffffffffffffffff")],
        &[("services", "auth"), ("cluster", "shop-eu")],
    ] {
        all += &told(inputs).await;
    }
    assert_snapshot!(all);
}
