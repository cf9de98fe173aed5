use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::*;
use crate::ecr::ImageSeed;
use crate::state::World;

/// A client of the registry, with a token of `GetAuthorizationToken`.
struct Client {
    world: World,
    authorization: String,
}

impl Client {
    fn of(world: &World) -> Self {
        let answer = world.with(|state| ecr::answer(state, "GetAuthorizationToken", &Value::Null)).unwrap();
        let token = answer["authorizationData"][0]["authorizationToken"].as_str().unwrap().to_owned();
        assert!(STANDARD.decode(&token).unwrap().starts_with(b"AWS:"));
        Self { world: world.clone(), authorization: format!("Basic {token}") }
    }

    fn send(&self, method: &str, path: &str, body: impl Into<Bytes>) -> Response<Bytes> {
        let uri = if path.starts_with("http") { path.to_owned() } else { format!("http://world{path}") };
        let request = Request::builder().method(method).uri(uri).header(AUTHORIZATION, &self.authorization);
        let request = request.header(CONTENT_TYPE, oci::MANIFEST).body(body.into()).unwrap();
        self.world.answer(&request).unwrap()
    }

    fn upload(&self, repository: &str, blob: &[u8]) -> String {
        let location = header(&self.send("POST", &format!("/v2/{repository}/blobs/uploads/"), ""), "location");
        let digest = oci::digest(blob);
        let done = self.send("PUT", &format!("{location}?digest={digest}"), blob.to_vec());
        assert_eq!(done.status(), StatusCode::CREATED);
        digest
    }
}

fn header(response: &Response<Bytes>, name: &str) -> String {
    response.headers()[name].to_str().unwrap().to_owned()
}

fn error(response: &Response<Bytes>) -> (u16, String) {
    let body: Value = serde_json::from_slice(response.body()).unwrap();
    (response.status().as_u16(), body["errors"][0]["code"].as_str().unwrap().to_owned())
}

fn world() -> World {
    let world = World::new();
    world.create_repository("shop/auth");
    world
}

#[test]
fn nobody_enters_without_a_token_of_ecr() {
    let world = world();
    let request = Request::get("https://registry/v2/").body(Bytes::new()).unwrap();
    let refused = world.answer(&request).unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(header(&refused, "www-authenticate"), "Basic realm=\"https://registry/\",service=\"ecr.amazonaws.com\"");
    assert_eq!(Client::of(&world).send("GET", "/v2/", "").status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_token_lasts_twelve_hours() {
    let world = world();
    let client = Client::of(&world);
    tokio::time::advance(std::time::Duration::from_secs(12 * 60 * 60)).await;
    assert_eq!(error(&client.send("GET", "/v2/", "")), (403, "DENIED".to_owned()));
}

#[test]
fn what_was_pushed_is_read_back_by_tag_and_by_digest() {
    let client = Client::of(&world());
    let (config, layer) = (Bytes::from("{}"), Bytes::from("layer"));
    let manifest = oci::manifest(&config, std::slice::from_ref(&layer));
    let refused = client.send("PUT", "/v2/shop/auth/manifests/v1", manifest.clone());
    assert_eq!(error(&refused), (404, "BLOB_UNKNOWN".to_owned()));
    client.upload("shop/auth", &config);
    let blob = client.upload("shop/auth", &layer);
    let pushed = client.send("PUT", "/v2/shop/auth/manifests/v1", manifest.clone());
    assert_eq!(pushed.status(), StatusCode::CREATED);
    let digest = header(&pushed, "docker-content-digest");

    for reference in ["v1", digest.as_str()] {
        let head = client.send("HEAD", &format!("/v2/shop/auth/manifests/{reference}"), "");
        assert_eq!(header(&head, "docker-content-digest"), digest);
        assert_eq!((header(&head, "content-length"), head.body().len()), (manifest.len().to_string(), 0));
        assert_eq!(client.send("GET", &format!("/v2/shop/auth/manifests/{reference}"), "").body(), &manifest);
    }
    assert_eq!(client.send("GET", &format!("/v2/shop/auth/blobs/{blob}"), "").body(), &layer);
    let tags: Value = serde_json::from_slice(client.send("GET", "/v2/shop/auth/tags/list", "").body()).unwrap();
    assert_eq!(tags, json!({ "name": "shop/auth", "tags": ["v1"] }));
}

#[test]
fn an_immutable_tag_is_not_overwritten_and_the_same_manifest_is_no_overwriting() {
    let world = world();
    let client = Client::of(&world);
    let immutable = json!({ "repositoryName": "shop/auth", "imageTagMutability": "IMMUTABLE" });
    world.with(|state| ecr::answer(state, "PutImageTagMutability", &immutable)).unwrap();
    let put = |body: &'static str| client.send("PUT", "/v2/shop/auth/manifests/v1", body);
    assert_eq!(put("{\"layers\":[]}").status(), StatusCode::CREATED);
    assert_eq!(put("{\"layers\":[]}").status(), StatusCode::CREATED);
    let refused = put("{\"layers\":[ ]}");
    assert_eq!(error(&refused), (400, "TAG_INVALID".to_owned()));
    let text = "The image tag 'v1' already exists in the 'shop/auth' repository and cannot be overwritten because the tag is immutable.";
    assert!(String::from_utf8_lossy(refused.body()).contains(text));
}

#[test]
fn what_does_not_exist_is_said_to_be_unknown() {
    let client = Client::of(&world());
    for (method, path, expected) in [
        ("GET", "/v2/nope/manifests/v1", (404, "NAME_UNKNOWN")),
        ("POST", "/v2/nope/blobs/uploads/", (404, "NAME_UNKNOWN")),
        ("GET", "/v2/shop/auth/manifests/v1", (404, "MANIFEST_UNKNOWN")),
        ("GET", "/v2/shop/auth/blobs/sha256:00", (404, "BLOB_UNKNOWN")),
        ("PUT", "/v2/shop/auth/blobs/uploads/00?digest=sha256:00", (404, "BLOB_UPLOAD_UNKNOWN")),
        ("DELETE", "/v2/shop/auth/manifests/v1", (405, "UNSUPPORTED")),
    ] {
        let (status, code) = error(&client.send(method, path, ""));
        assert_eq!((status, code.as_str()), expected, "{method} {path}");
    }
}

#[test]
fn an_upload_in_parts_answers_as_ecr_does() {
    let client = Client::of(&world());
    let location = header(&client.send("POST", "/v2/shop/auth/blobs/uploads/", ""), "location");
    for part in ["one ", "two "] {
        let answer = client.send("PATCH", &location, part);
        assert_eq!((answer.status(), header(&answer, "range")), (StatusCode::CREATED, "0-3".to_owned()));
    }
    let digest = oci::digest(b"one two three");
    assert_eq!(client.send("PUT", &format!("{location}?digest={digest}"), "three").status(), StatusCode::CREATED);
    let second = header(&client.send("POST", "/v2/shop/auth/blobs/uploads/", ""), "location");
    let refused = client.send("PUT", &format!("{second}?digest={digest}"), "other");
    assert_eq!(error(&refused), (400, "DIGEST_INVALID".to_owned()));
}

#[test]
fn a_blob_is_mounted_from_where_a_manifest_refers_to_it() {
    let world = world();
    let client = Client::of(&world);
    world.push_image(ImageSeed { repository: "base".into(), tag: "v1".into(), ..Default::default() });
    let manifest: Value = serde_json::from_slice(client.send("GET", "/v2/base/manifests/v1", "").body()).unwrap();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap();
    let mount =
        |digest: &str| client.send("POST", &format!("/v2/shop/auth/blobs/uploads/?mount={digest}&from=base"), "");
    assert_eq!(mount(layer).status(), StatusCode::CREATED);
    assert_eq!(client.send("HEAD", &format!("/v2/shop/auth/blobs/{layer}"), "").status(), StatusCode::OK);
    let orphan = client.upload("base", b"no manifest refers to me");
    assert_eq!(mount(&orphan).status(), StatusCode::ACCEPTED);
}

#[tokio::test(start_paused = true)]
async fn a_layers_url_is_open_to_all_for_an_hour_as_it_was_signed() {
    let world = world();
    world.push_image(ImageSeed { repository: "base".into(), tag: "v1".into(), ..Default::default() });
    let manifest = Client::of(&world).send("GET", "/v2/base/manifests/v1", "");
    let manifest: Value = serde_json::from_slice(manifest.body()).unwrap();
    let digest = manifest["layers"][0]["digest"].as_str().unwrap();
    let url = world.with(|state| layer_url(state, "base", digest));
    let get = |url: &str| {
        let request = Request::get(url).body(Bytes::new()).unwrap();
        world.answer(&request).unwrap()
    };
    assert_eq!(oci::digest(get(&url).body()), digest);
    assert_eq!(get(&url.replace("/base/", "/shop/auth/")).status(), StatusCode::FORBIDDEN);
    tokio::time::advance(std::time::Duration::from_secs(60 * 60)).await;
    let late = get(&url);
    assert_eq!(late.status(), StatusCode::FORBIDDEN);
    assert!(String::from_utf8_lossy(late.body()).contains("Request has expired"));
}
