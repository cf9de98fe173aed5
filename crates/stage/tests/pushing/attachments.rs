//! What is known of an image is attached to it, whether the registry keeps a list of that or not.

use common::push::Provenance;
use common::registry::Artifact;
use stage::COMMIT;
use stage::images::Form;

use super::{Scene, layers};

#[tokio::test(start_paused = true)]
async fn what_is_known_of_an_image_is_attached_to_it() {
    let scene = Scene::new().await;
    let pushed = scene.push(&scene.layout("image", &layers(), Form::Compressed).await).await.unwrap();
    let environment =
        [("GITHUB_SERVER_URL", "https://github.com"), ("GITHUB_REPOSITORY", "org/shop"), ("GITHUB_RUN_ID", "42")];
    let provenance = Provenance::of_run(&environment.into_iter().collect()).unwrap();
    let registry = scene.registry();
    let repository = registry.repository("shop/auth".parse().unwrap());
    let artifact = provenance.artifact(&repository.address(), &pushed.descriptor.digest, &COMMIT.parse().unwrap());
    let first = repository.attach(&pushed.descriptor, &artifact).await.unwrap();
    let writes = scene.stage.world.writes().len();
    assert_eq!(repository.attach(&pushed.descriptor, &artifact).await.unwrap(), first);
    assert_eq!(scene.stage.world.writes().len(), writes, "what is attached is not attached again");
    let manifest = repository.manifest(first.as_str()).await.unwrap().unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest.bytes).unwrap();
    assert_eq!(manifest["subject"]["digest"], pushed.descriptor.digest.as_str());
    assert_eq!(manifest["artifactType"], "application/vnd.in-toto+json");
    assert_eq!(
        scene.stage.world.image_digest("shop/auth", &format!("sha256-{}", pushed.descriptor.digest.hexadecimal())),
        None
    );
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_keeps_no_list_of_what_is_attached_is_given_one() {
    let scene = Scene::new().await;
    scene.stage.world.forget_referrers();
    let pushed = scene.push(&scene.layout("image", &layers(), Form::Compressed).await).await.unwrap();
    let registry = scene.registry();
    let repository = registry.repository("shop/auth".parse().unwrap());
    let artifact = |title: &str| Artifact {
        media_type: "application/spdx+json".to_owned(),
        content: format!("{{ \"name\": \"{title}\" }}").into(),
        title: title.to_owned(),
    };
    let tag = format!("sha256-{}", pushed.descriptor.digest.hexadecimal());
    let mut expected = Vec::new();
    // The last one was attached by a run before.
    for title in ["sbom.spdx.json", "tools.spdx.json", "sbom.spdx.json"] {
        let attached = repository.attach(&pushed.descriptor, &artifact(title)).await.unwrap().to_string();
        if !expected.contains(&attached) {
            expected.push(attached);
        }
        let list = repository.manifest(&tag).await.unwrap().unwrap();
        let list: serde_json::Value = serde_json::from_slice(&list.bytes).unwrap();
        let listed = list["manifests"].as_array().unwrap().iter().map(|entry| entry["digest"].as_str().unwrap());
        assert_eq!(listed.collect::<Vec<_>>(), expected, "{title}");
    }
}
