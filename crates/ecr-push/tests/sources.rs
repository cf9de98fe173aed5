//! Images that are in files: no engine is needed, whoever wrote them.

use insta::assert_snapshot;
use serde_json::json;
use stage::images::{Form, Layout, layer};
use stage::{COMMIT, steady};

use crate::shop::{Shop, push, shop};

/// A shop without an engine, with the commit's image as a layout in the workspace.
async fn without_engine() -> Shop {
    let mut shop = shop().await;
    shop.stage.set("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let layers = [layer("base"), layer("app")];
    Layout::of(&layers, Form::Compressed).write_to(&shop.stage.workspace().join("image"));
    shop.stage.file("image.tar", Layout::of(&layers, Form::Plain).archive());
    shop
}

#[tokio::test]
async fn a_layout_and_an_archive_are_pushed_without_an_engine() {
    for image in ["oci:image", "oci-archive:image.tar"] {
        let shop = without_engine().await;
        let inputs = [("services", "auth"), ("image", image)];
        let (ran, _) = push(&shop.stage, &inputs).await;
        assert_eq!((ran.output("result"), ran.exit_code), ("pushed", 0), "{image}: {}", ran.log);
        assert_eq!(ran.output("digest"), shop.digest("shop/auth", COMMIT));
        let (again, writes) = push(&shop.stage, &inputs).await;
        assert_eq!((again.output("result"), again.exit_code), ("unchanged", 0), "{image}: {}", again.log);
        assert_eq!(writes, [""; 0]);
    }
}

#[tokio::test]
async fn what_is_known_of_an_image_goes_with_it() {
    let mut shop = without_engine().await;
    for (name, value) in
        [("GITHUB_SERVER_URL", "https://github.com"), ("GITHUB_REPOSITORY", "org/shop"), ("GITHUB_RUN_ID", "42")]
    {
        shop.stage.set(name, value);
    }
    shop.stage.file("sbom.spdx.json", json!({ "spdxVersion": "SPDX-2.3" }).to_string());
    let inputs = [("services", "auth"), ("image", "oci:image"), ("sbom", "sbom.spdx.json"), ("provenance", "run")];
    let (ran, _) = push(&shop.stage, &inputs).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("pushed", 0), "{}", ran.log);
    let attached: Vec<String> = ran.log.lines().filter(|line| line.contains("is attached")).map(steady).collect();
    assert_eq!(
        attached,
        ["auth: sbom.spdx.json is attached (sha256:…)", "auth: provenance.json is attached (sha256:…)"]
    );
    // The run that pushed may have been cut off before: what is of the image, and not of that run, is attached again.
    let (again, _) = push(&shop.stage, &inputs).await;
    assert_eq!((again.output("result"), again.exit_code), ("unchanged", 0), "{}", again.log);
    let attached: Vec<String> = again.log.lines().filter(|line| line.contains("is attached")).map(steady).collect();
    assert_eq!(attached, ["auth: sbom.spdx.json is attached (sha256:…)"]);
}

#[tokio::test]
async fn what_is_no_image_and_what_is_no_document_is_refused_before_anything_is_touched() {
    let shop = without_engine().await;
    shop.stage.file("notes.json", "{}");
    let mut told = String::new();
    for inputs in [
        vec![("services", "auth"), ("image", "oci:nowhere")],
        vec![("services", "auth"), ("image", "oci:image"), ("sbom", "notes.json")],
        vec![("services", "auth"), ("image", "oci:image"), ("provenance", "missing.json")],
    ] {
        let (ran, writes) = push(&shop.stage, &inputs).await;
        assert_eq!((ran.output("result"), ran.exit_code), ("failed", 2), "{}", ran.log);
        assert_eq!(writes, [""; 0]);
        told += &(ran.annotations().join("\n") + "\n\n");
    }
    assert_snapshot!(told.replace(&format!("{}/", shop.stage.workspace().display()), ""));
}
