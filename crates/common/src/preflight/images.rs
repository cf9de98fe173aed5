//! Do the images exist, and do they run on the tasks' processor? One that does not ends as `exec format error`, which says
//! neither which image nor why.

use std::collections::BTreeMap;

use serde_json::Value;

use super::references::containers;
use super::{Finding, Mention, each, unchecked};
use crate::aws::{Aws, EcrImage, Platform};
use crate::names::ServiceKey;

/// Who refers to an image, and the platform that their tasks run on, if it is known.
type Users = Vec<(Mention, Option<Platform>)>;

pub(super) async fn check(aws: &Aws, definitions: &[(ServiceKey, Value)]) -> Vec<Finding> {
    let (mut findings, mut failed) = (Vec::new(), Vec::new());
    let asked = each(images_of(definitions, aws.region.as_str()), async |(image, users)| {
        let platforms = aws.ecr.platforms(&image).await;
        (image, users, platforms)
    });
    for (image, users, platforms) in asked.await {
        match platforms {
            Ok(Some(platforms)) => findings.extend(judge(&image, &platforms, &users)),
            Ok(None) => findings.push(Finding::blocks(
                format!("there is no image `{image}` in registry {} in {}", image.registry, image.region),
                &mentions(&users),
                "push it first (ecr-push), or correct the image: a lifecycle policy may have expired it",
            )),
            Err(failure) => failed.push((failure, mentions(&users))),
        }
    }
    findings.extend(unchecked("whether the images exist and for which processor they are built", failed));
    findings
}

/// The images of private registries in this region. Others are nobody's whom these credentials could ask.
fn images_of(definitions: &[(ServiceKey, Value)], region: &str) -> BTreeMap<EcrImage, Users> {
    let mut images = BTreeMap::<EcrImage, Users>::new();
    for (service, definition) in definitions {
        let wanted = wanted(definition);
        for (container, path) in containers(definition) {
            let image = container["image"].as_str().and_then(EcrImage::parse);
            if let Some(image) = image.filter(|image| image.region.as_str() == region) {
                let mention = Mention { service: service.clone(), place: format!("{path}.image") };
                images.entry(image).or_default().push((mention, wanted.clone()));
            }
        }
    }
    images
}

/// What the tasks run on. `None` where the instance decides: on EC2, when the task definition is silent; or where it is a word
/// newer than we are.
fn wanted(definition: &Value) -> Option<Platform> {
    let platform = &definition["runtimePlatform"];
    let on_fargate = match definition["requiresCompatibilities"].as_array() {
        Some(compatibilities) => compatibilities.iter().any(|word| word == "FARGATE"),
        None => true,
    };
    let architecture = match platform["cpuArchitecture"].as_str() {
        Some("X86_64") => "amd64",
        Some("ARM64") => "arm64",
        // Fargate's default (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RuntimePlatform.html>).
        None if on_fargate => "amd64",
        Some(_) | None => return None,
    };
    let os = match platform["operatingSystemFamily"].as_str() {
        None | Some("LINUX") => "linux",
        Some(family) if family.starts_with("WINDOWS") => "windows",
        Some(_) => return None,
    };
    Some(Platform { os: os.to_owned(), architecture: architecture.to_owned() })
}

/// What an image that exists means for those who run it.
fn judge(image: &EcrImage, platforms: &[Platform], users: &Users) -> Vec<Finding> {
    let mut by_platform = BTreeMap::<&Platform, Vec<Mention>>::new();
    for (mention, wanted) in users {
        if let Some(wanted) = wanted {
            by_platform.entry(wanted).or_default().push(mention.clone());
        }
    }
    let mut findings = Vec::new();
    for (wanted, mentions) in by_platform {
        if platforms.contains(wanted) {
            continue;
        }
        if platforms.iter().any(|platform| platform.architecture.is_empty() || platform.os.is_empty()) {
            findings.push(Finding::warns(
                format!("image `{image}` does not say what it runs on, and its tasks run on `{wanted}`"),
                &mentions,
                format!("build it with `--platform {wanted}`"),
            ));
            continue;
        }
        let built: Vec<String> = platforms.iter().map(Platform::to_string).collect();
        findings.push(Finding::blocks(
            format!("image `{image}` is built for `{}`, and its tasks run on `{wanted}`", built.join("`, `")),
            &mentions,
            format!("build it with `--platform {wanted}`, or correct `runtimePlatform` in the task definition: its tasks would end with `exec format error`"),
        ));
    }
    findings
}

fn mentions(users: &Users) -> Vec<Mention> {
    users.iter().map(|(mention, _)| mention.clone()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::preflight::FindingKind;

    #[test]
    fn fargate_runs_on_x86_unless_told_otherwise_and_ec2_on_what_it_has() {
        let check = |definition: Value| wanted(&definition).map(|platform| platform.to_string());
        let amd64 = Some("linux/amd64".to_owned());
        assert_eq!(check(json!({})), amd64);
        assert_eq!(check(json!({ "requiresCompatibilities": ["FARGATE"] })), amd64);
        assert_eq!(check(json!({ "requiresCompatibilities": ["EC2"] })), None);
        let arm = json!({ "cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX" });
        assert_eq!(check(json!({ "runtimePlatform": arm })), Some("linux/arm64".to_owned()));
        let windows = json!({ "cpuArchitecture": "X86_64", "operatingSystemFamily": "WINDOWS_SERVER_2022_CORE" });
        assert_eq!(check(json!({ "runtimePlatform": windows })), Some("windows/amd64".to_owned()));
        assert_eq!(check(json!({ "runtimePlatform": { "cpuArchitecture": "RISCV" } })), None);
    }

    #[test]
    fn an_image_for_another_processor_blocks_and_one_that_does_not_say_warns() {
        let image = EcrImage::parse("111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/auth:v1").unwrap();
        let platform =
            |text: &str| text.split_once('/').map(|(os, cpu)| Platform { os: os.into(), architecture: cpu.into() });
        let check = |built: &[&str], wanted: &str| {
            let mention = Mention { service: "auth".parse().unwrap(), place: "containers.app.image".to_owned() };
            let built: Vec<Platform> = built.iter().filter_map(|text| platform(text)).collect();
            let findings = judge(&image, &built, &vec![(mention, platform(wanted))]);
            findings.into_iter().map(|finding| (finding.kind, finding.failure.to_string())).next()
        };
        assert_eq!(check(&["linux/amd64", "linux/arm64"], "linux/arm64"), None);
        assert_eq!(check(&["linux/arm64"], "not known"), None);
        assert_eq!(
            check(&["linux/arm64"], "linux/amd64"),
            Some((
                FindingKind::Blocks,
                "image `shop/auth:v1` is built for `linux/arm64`, and its tasks run on `linux/amd64`; needed by `auth` at \
                 `containers.app.image`\nhint: build it with `--platform linux/amd64`, or correct `runtimePlatform` in the task \
                 definition: its tasks would end with `exec format error`"
                    .to_owned()
            ))
        );
        assert_eq!(check(&["/"], "linux/amd64").unwrap().0, FindingKind::Warns);
        assert_eq!(check(&[], "linux/amd64").unwrap().0, FindingKind::Blocks);
    }
}
