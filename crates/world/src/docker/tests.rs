use std::collections::HashMap;
use std::path::Path;

use bollard::auth::DockerCredentials;
use bollard::query_parameters::{
    BuildImageOptionsBuilder, BuilderVersion, PushImageOptionsBuilder, TagImageOptionsBuilder,
};
use bollard::{API_DEFAULT_VERSION, Docker as Client};
use futures_util::TryStreamExt;
use http_body_util::{Either, Full};

use super::*;
use crate::ecr::{self, ImageSeed};
use crate::oci;
use crate::state::World;

const DOCKERFILE: &str = r#"
FROM node:24 AS build
WORKDIR /src
COPY . .
RUN npm run build

FROM scratch
ARG VERSION=dev
LABEL org.opencontainers.image.version=$VERSION world.serves="serves"
COPY --from=build /src/apps/auth/server.js /src/dist /app/
COPY --chown=65532 config*.json /etc/
ENV PORT=8080
USER 65532:65532
EXPOSE 8080
HEALTHCHECK --interval=30s --retries=3 CMD ["/app", "healthcheck"]
ENTRYPOINT ["/app/server.js"]
"#;

fn context(files: &[(&str, &str)]) -> Bytes {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    oci::gzip(&archive.into_inner().unwrap()).unwrap()
}

fn shop(dockerfile: &str) -> Bytes {
    context(&[("Dockerfile", dockerfile), ("apps/auth/server.js", "serve()"), ("config.json", "{}")])
}

/// Sends a request as the socket would; answers status and lines.
fn send(world: &World, method: &str, uri: &str, body: Bytes) -> (u16, Vec<Value>) {
    let request = Request::builder().method(method).uri(uri).body(body).unwrap();
    let response = world.answer_docker(&request).unwrap();
    let lines = response.body().split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    (response.status().as_u16(), lines.collect())
}

/// Builds, and answers the image as it is inspected, or the failure.
fn build(world: &World, query: &str, dockerfile: &str) -> Result<Value, String> {
    let (_, lines) = send(world, "POST", &format!("/v1.44/build?version=2&{query}"), shop(dockerfile));
    let last = lines.last().unwrap();
    match last["error"].as_str() {
        Some(error) => Err(error.to_owned()),
        None => {
            let id = last["aux"]["ID"].as_str().unwrap();
            Ok(send(world, "GET", &format!("/images/{id}/json"), Bytes::new()).1.remove(0))
        }
    }
}

fn files_of(world: &World, image: &str) -> files::Files {
    world.with(|state| files::Files::read(&state.docker.find(image).unwrap().1.layers[0].tar).unwrap())
}

#[test]
fn an_image_has_the_files_and_the_configuration_of_its_dockerfile() {
    let world = World::new();
    let labels = "labels=%7B%22org.opencontainers.image.revision%22%3A%22abc%22%7D";
    let query = format!(
        "t=shop/auth:abc&t=shop/auth:main&buildargs=%7B%22VERSION%22%3A%22abc%22%7D&{labels}&platform=linux/arm64"
    );
    let image = build(&world, &query, DOCKERFILE).unwrap();
    assert_eq!(image["RepoTags"], json!(["shop/auth:abc", "shop/auth:main"]));
    assert_eq!(image["Architecture"], "arm64");
    let config = &image["Config"];
    assert_eq!(config["Labels"]["org.opencontainers.image.version"], "abc");
    assert_eq!(config["Labels"]["org.opencontainers.image.revision"], "abc");
    assert_eq!((&config["User"], &config["Entrypoint"]), (&json!("65532:65532"), &json!(["/app/server.js"])));
    assert_eq!(config["Env"].as_array().unwrap().last().unwrap(), "PORT=8080");
    assert_eq!(config["Healthcheck"]["Test"], json!(["CMD", "/app", "healthcheck"]));
    assert_eq!(config["Healthcheck"]["Interval"], 30_000_000_000_u64);
    let files = files_of(&world, "shop/auth:abc");
    assert_eq!(files.content("app/server.js").unwrap(), "serve()");
    assert_eq!(files.content("etc/config.json").unwrap(), "{}");
}

#[tokio::test(start_paused = true)]
async fn the_same_content_is_the_same_image() {
    let world = World::new();
    let id = |world: &World, query| build(world, query, DOCKERFILE).unwrap()["Id"].clone();
    let first = id(&world, "t=a");
    tokio::time::advance(std::time::Duration::from_secs(60)).await;
    assert_eq!(id(&world, "t=b"), first);
    assert_ne!(id(&world, "t=a&nocache=1"), first);
    assert_ne!(id(&world, "t=c&buildargs=%7B%22VERSION%22%3A%222%22%7D"), first);
}

#[test]
fn only_the_stages_that_the_target_needs_are_built() {
    let world = World::new();
    let dockerfile =
        "FROM scratch AS broken\nCOPY nope /\nFROM scratch AS fine\nCOPY config.json /\nFROM broken AS last\n";
    assert!(build(&world, "target=fine", dockerfile).is_ok());
    assert!(build(&world, "", dockerfile).is_err());
    assert_eq!(build(&world, "target=other", dockerfile).unwrap_err(), "target stage \"other\" could not be found");
}

#[test]
fn an_image_that_was_built_here_can_be_built_upon() {
    let world = World::new();
    build(&world, "t=base", "FROM scratch\nENV A=1\nCMD [\"/base\"]\nCOPY config.json /base.json\n").unwrap();
    let image = build(&world, "t=top", "FROM base\nENTRYPOINT [\"/top\"]\nCOPY config.json /base.json\n").unwrap();
    assert_eq!(image["RootFS"]["Layers"].as_array().unwrap().len(), 2);
    assert_eq!((&image["Config"]["Cmd"], &image["Config"]["Env"][1]), (&Value::Null, &json!("A=1")));
    assert!(build(&world, "", "FROM scratch\nCOPY --from=base /base.json /\n").is_ok());
    assert!(build(&world, "", "FROM scratch\nCOPY --from=base /other.json /\n").is_err());
}

#[test]
fn what_buildkit_cannot_build_fails_in_its_words() {
    let world = World::new();
    for (dockerfile, expected) in [
        ("FROM scratch\nCOPY dist /app\n", "\"/dist\": not found"),
        ("FROM scratch\nCOPPY a b\n", "dockerfile parse error on line 2: unknown instruction: COPPY"),
        ("COPY a b\n", "no build stage in current context"),
        ("FROM scratch\nHEALTHCHECK --interval=5 NONE\n", "time: invalid duration \"5\""),
    ] {
        let error = build(&world, "t=x", dockerfile).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    let (_, lines) = send(&world, "POST", "/build?dockerfile=apps/Dockerfile", shop("FROM scratch"));
    assert_eq!(lines[0]["error"], "failed to read dockerfile: open apps/Dockerfile: no such file or directory");
    assert_eq!(send(&world, "GET", "/images/x/json", Bytes::new()).0, 404);
}

#[test]
fn images_are_listed_tagged_and_removed() {
    let world = World::new();
    build(&world, "t=one", "FROM scratch\nLABEL a=b\n").unwrap();
    assert_eq!(send(&world, "POST", "/images/one/tag?repo=127.0.0.1:5000/two&tag=v1", Bytes::new()).0, 201);
    assert_eq!(send(&world, "POST", "/images/nope/tag?repo=two", Bytes::new()).0, 404);
    let (_, listed) = send(&world, "GET", "/images/json", Bytes::new());
    assert_eq!(listed[0][0]["RepoTags"], json!(["127.0.0.1:5000/two:v1", "one:latest"]));
    let id = listed[0][0]["Id"].as_str().unwrap();
    assert_eq!(send(&world, "DELETE", &format!("/images/{id}"), Bytes::new()).0, 409);
    assert_eq!(
        send(&world, "DELETE", "/images/127.0.0.1:5000%2Ftwo:v1", Bytes::new()).1[0],
        json!([{ "Untagged": "127.0.0.1:5000/two:v1" }])
    );
    assert_eq!(send(&world, "DELETE", "/images/one", Bytes::new()).1[0][1]["Deleted"], id);
    assert_eq!(send(&world, "GET", "/images/json", Bytes::new()).1[0], json!([]));
}

#[test]
fn an_image_is_saved_and_tells_how_it_was_made() {
    let world = World::new();
    build(&world, "t=one", "FROM scratch\nCOPY config.json /\nUSER 1\n").unwrap();
    let (_, history) = send(&world, "GET", "/images/one/history", Bytes::new());
    let made: Vec<&str> =
        history[0].as_array().unwrap().iter().map(|step| step["CreatedBy"].as_str().unwrap()).collect();
    assert_eq!(made, ["USER 1", "COPY config.json /"]);
    let request = http::Request::get("/images/one/get").body(Bytes::new()).unwrap();
    let saved = world.answer_docker(&request).unwrap();
    let mut archive = tar::Archive::new(saved.body().as_ref());
    let names: Vec<String> =
        archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect();
    assert!(["index.json", "manifest.json", "oci-layout"].iter().all(|name| names.iter().any(|found| found == name)));
    assert_eq!(names.iter().filter(|name| name.starts_with("blobs/sha256/")).count(), 3, "{names:?}");
    assert_eq!(send(&world, "GET", "/images/nope/history", Bytes::new()).0, 404);
}

#[test]
fn a_client_that_is_too_new_is_told_so() {
    let (status, lines) = send(&World::new(), "GET", "/v1.53/version", Bytes::new());
    let message = "client version 1.53 is too new. Maximum supported API version is 1.44";
    assert_eq!((status, &lines[0]["message"]), (400, &json!(message)));
    assert_eq!(send(&World::new(), "GET", "/v1.44/version", Bytes::new()).1[0]["ApiVersion"], "1.44");
}

/// Builds over the socket as a client of BuildKit does, with a session.
async fn build_over(client: &Client, tag: &str, dockerfile: &str) -> Result<String, bollard::errors::Error> {
    let options = BuildImageOptionsBuilder::default()
        .t(tag)
        .version(BuilderVersion::BuilderBuildKit)
        .session(tag)
        .buildargs(&HashMap::from([("VERSION".to_owned(), tag.to_owned())]))
        .build();
    let body = Some(Either::Left(Full::new(shop(dockerfile))));
    let lines: Vec<_> = client.build_image(options, None, body).try_collect().await?;
    let aux = lines.into_iter().find_map(|line| line.aux).expect("the image's id");
    match aux {
        bollard::models::BuildInfoAux::Default(id) => Ok(id.id.expect("an id")),
        other => panic!("{other:?}"),
    }
}

async fn push_over(client: &Client, repository: &str, password: &str) -> Result<(), bollard::errors::Error> {
    let options = PushImageOptionsBuilder::default().tag("v1").build();
    let credentials = DockerCredentials {
        username: Some("AWS".to_owned()),
        password: Some(password.to_owned()),
        ..Default::default()
    };
    client.push_image(repository, Some(options), Some(credentials)).try_collect::<Vec<_>>().await.map(drop)
}

fn password(world: &World) -> String {
    use base64::Engine;
    let answer = world.with(|state| ecr::answer(state, "GetAuthorizationToken", &Value::Null)).unwrap();
    let token = answer["authorizationData"][0]["authorizationToken"].as_str().unwrap();
    let token = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(token).unwrap()).unwrap();
    token.strip_prefix("AWS:").unwrap().to_owned()
}

fn connect(path: &Path) -> Client {
    Client::connect_with_unix(path.to_str().unwrap(), 20, API_DEFAULT_VERSION).unwrap()
}

#[tokio::test]
async fn a_real_client_builds_with_buildkit_and_pushes_over_the_socket() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let served = world.serve_docker(&folder.path().join("docker.sock")).unwrap();
    let client = connect(served.path()).negotiate_version().await.unwrap();
    let failed = build_over(&client, "broken", "FROM scratch\nCOPY nope /\n").await.unwrap_err();
    assert!(failed.to_string().contains("\"/nope\": not found"), "{failed}");
    let id = build_over(&client, "auth", DOCKERFILE).await.unwrap();

    let repository = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/auth";
    client.tag_image("auth", Some(TagImageOptionsBuilder::default().repo(repository).tag("v1").build())).await.unwrap();
    let password = password(&world);
    let push = async |password: &str| push_over(&client, repository, password).await.map_err(|error| error.to_string());
    let missing = "name unknown: The repository with name 'shop/auth' does not exist";
    assert!(push(&password).await.unwrap_err().contains(missing));
    world.create_repository("shop/auth");
    assert!(push("wrong").await.unwrap_err().contains("denied: "));
    push(&password).await.unwrap();
    push(&password).await.unwrap();

    let pushed = world.with(|state| ecr::image(state, &format!("{repository}:v1"))).unwrap();
    assert_eq!((pushed.config_digest, pushed.labels["world.serves"].as_str()), (id.clone(), "serves"));
    let inspected = client.inspect_image(&format!("{repository}:v1")).await.unwrap();
    assert_eq!(inspected.repo_digests.unwrap(), [format!("{repository}@{}", pushed.digest)]);
    assert_eq!(inspected.id.unwrap(), id);
}

#[tokio::test]
async fn an_immutable_tag_is_refused_in_the_registrys_words() {
    let world = World::new();
    world.push_image(ImageSeed { repository: "shop/auth".into(), tag: "v1".into(), ..Default::default() });
    let immutable = json!({ "repositoryName": "shop/auth", "imageTagMutability": "IMMUTABLE" });
    world.with(|state| ecr::answer(state, "PutImageTagMutability", &immutable)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let served = world.serve_docker(&folder.path().join("docker.sock")).unwrap();
    let client = connect(served.path());
    let repository = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/auth";
    build_over(&client, &format!("{repository}:v1"), "FROM scratch\nLABEL other=1\n").await.unwrap();
    let refused = push_over(&client, repository, &password(&world)).await.unwrap_err().to_string();
    let text = "tag invalid: The image tag 'v1' already exists in the 'shop/auth' repository and cannot be overwritten because the tag is immutable.";
    assert!(refused.contains(text), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_build_without_its_session_fails_in_time() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("docker.sock");
    let _served = world.serve_docker(&path).unwrap();
    let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    stream.write_all(b"POST /build?version=2&session=s HTTP/1.1\r\nhost: docker\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("no active session for s"), "{answer}");
}
