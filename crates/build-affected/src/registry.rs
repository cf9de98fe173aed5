//! The images of the same contents that the registry has, for `base-from: registry`.
//!
//! An image is tagged by its service's content key. Whoever finds it needs neither a base nor a history: it is what a build of the
//! head would come to, whatever became of the commits between.

use std::collections::BTreeMap;

use common::aws::Ecr;
use common::docker::contents_tag;
use common::failure::Failure;
use common::names::{CommitSha, Digest, RepositoryName, ServiceKey, Tag};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

/// How many repositories are asked at once: AWS throttles who asks more.
const AT_ONCE: usize = 8;

/// A service, and what it is made of.
#[derive(Clone, Debug)]
pub(crate) struct Keyed {
    pub(crate) service: ServiceKey,
    pub(crate) repository: RepositoryName,
    /// Its content key.
    pub(crate) key: String,
}

/// Which services have an image of the same contents, and its digest. One call for each repository, side by side; a repository
/// that is not there has none.
pub(crate) async fn images(ecr: &Ecr, services: &[Keyed]) -> Result<BTreeMap<ServiceKey, Digest>, Failure> {
    let mut repositories: BTreeMap<&RepositoryName, Vec<(&Keyed, Tag)>> = BTreeMap::new();
    for service in services {
        repositories.entry(&service.repository).or_default().push((service, contents_tag(&service.key)?));
    }
    let asked = repositories.into_iter().map(|(repository, services)| async move {
        let mut tags: Vec<Tag> = services.iter().map(|(_, tag)| tag.clone()).collect();
        tags.sort();
        tags.dedup();
        let digests = ecr.digests_by_tag(repository, &tags).await?;
        let found = services.into_iter();
        let found = found.filter_map(|(keyed, tag)| Some((keyed.service.clone(), digests.get(&tag)?.clone())));
        Ok::<Vec<_>, Failure>(found.collect())
    });
    let found: Vec<_> = stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

/// Gives images that have not changed the tag of the head, so that a delivery finds each service under one commit. All that
/// goes wrong is one failure.
pub(crate) async fn retag(ecr: &Ecr, images: &[(RepositoryName, Digest)], head: &CommitSha) -> Result<(), Failure> {
    let tag: Tag = head.as_str().parse().map_err(Failure::bug)?;
    let tag = &tag;
    let tagged = images.iter().map(|(repository, digest)| async move { ecr.retag(repository, digest, tag).await });
    let tagged: Vec<Result<(), Failure>> = stream::iter(tagged).buffered(AT_ONCE).collect().await;
    Failure::all(tagged.into_iter().filter_map(Result::err)).map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use common::aws::Place;
    use stage::Stage;
    use world::ImageSeed;

    use super::*;

    const HEAD: &str = "1111111111111111111111111111111111111111";

    fn push(stage: &Stage, repository: &str, tag: &str, content: &str) -> Digest {
        let env = vec![format!("CONTENT={content}")];
        let seed = ImageSeed { repository: repository.into(), tag: tag.into(), env, ..ImageSeed::default() };
        stage.world.push_image(seed).parse().unwrap()
    }

    async fn ecr(stage: &Stage) -> Ecr {
        let place = Place { region: None, role: None, allowed_accounts: Vec::new() };
        stage.edges(&[]).aws(&place).await.unwrap().ecr
    }

    fn keyed(service: &str, repository: &str, key: &str) -> Keyed {
        let (service, repository) = (service.parse().unwrap(), repository.parse().unwrap());
        Keyed { service, repository, key: key.to_owned() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_has_its_image_or_has_not() {
        let stage = Stage::new();
        let auth = push(&stage, "shop/auth", "key-a", "auth");
        let shared = push(&stage, "shop/shared", "key-b", "shared");
        let services = [
            keyed("auth", "shop/auth", "a"),
            keyed("changed", "shop/auth", "other"),
            keyed("one", "shop/shared", "b"),
            keyed("two", "shop/shared", "b"),
            keyed("new", "shop/nowhere", "a"),
        ];
        let found = images(&ecr(&stage).await, &services).await.unwrap();
        let expected = [("auth", &auth), ("one", &shared), ("two", &shared)];
        let expected = expected.map(|(service, digest)| (service.parse().unwrap(), digest.clone()));
        assert_eq!(found, BTreeMap::from(expected));
        let calls = stage.world.calls();
        assert_eq!(calls.iter().filter(|call| call.name == "ecr:BatchGetImage").count(), 3);
        assert!(stage.world.writes().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn more_services_than_a_call_takes_are_asked_about() {
        let stage = Stage::new();
        let digest = push(&stage, "shop/all", "key-149", "all");
        let services: Vec<Keyed> =
            (0..150).map(|number| keyed(&format!("s{number}"), "shop/all", &number.to_string())).collect();
        let found = images(&ecr(&stage).await, &services).await.unwrap();
        assert_eq!(found, BTreeMap::from([("s149".parse().unwrap(), digest)]));
    }

    #[tokio::test(start_paused = true)]
    async fn an_image_is_tagged_once_and_a_tag_never_taken_away() {
        for is_immutable in [false, true] {
            let stage = Stage::new();
            let same = push(&stage, "shop/auth", "key-a", "auth");
            let other = push(&stage, "shop/auth", "key-b", "other");
            if is_immutable {
                stage.world.make_tags_immutable("shop/auth");
            }
            let (ecr, head) = (ecr(&stage).await, HEAD.parse().unwrap());
            let to = |digest: &Digest| [("shop/auth".parse().unwrap(), digest.clone())];
            retag(&ecr, &to(&same), &head).await.unwrap();
            assert_eq!(stage.world.image_digest("shop/auth", HEAD).as_deref(), Some(same.as_str()));
            let writes = stage.world.writes().len();
            retag(&ecr, &to(&same), &head).await.unwrap();
            assert_eq!(stage.world.writes().len(), writes, "the second time there is nothing to do");
            let told = retag(&ecr, &to(&other), &head).await.unwrap_err().to_string();
            assert!(told.contains(same.short()) && told.contains(other.short()) && told.contains(HEAD), "{told}");
            assert_eq!(stage.world.image_digest("shop/auth", HEAD).as_deref(), Some(same.as_str()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_image_of_several_platforms_is_tagged_whole() {
        let stage = Stage::new();
        let platforms = vec!["linux/amd64", "linux/arm64"];
        let seed = ImageSeed { repository: "app".into(), tag: "key-a".into(), platforms, ..ImageSeed::default() };
        let digest: Digest = stage.world.push_image(seed).parse().unwrap();
        let moved = [("app".parse().unwrap(), digest.clone())];
        retag(&ecr(&stage).await, &moved, &HEAD.parse().unwrap()).await.unwrap();
        assert_eq!(stage.world.image_digest("app", HEAD).as_deref(), Some(digest.as_str()));
    }

    #[tokio::test(start_paused = true)]
    async fn an_image_that_is_gone_says_so() {
        let stage = Stage::new();
        let digest = push(&stage, "shop/auth", "key-a", "auth");
        stage.world.delete_image("shop/auth", "key-a");
        let moved = [("shop/auth".parse().unwrap(), digest.clone())];
        let told = retag(&ecr(&stage).await, &moved, &HEAD.parse().unwrap()).await.unwrap_err().to_string();
        assert!(told.contains("shop/auth") && told.contains(digest.short()), "{told}");
    }
}
