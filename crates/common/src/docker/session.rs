//! The session of a build: while it goes on, the engine asks here for the build's secrets and for the logins of registries.
//!
//! What the engine is not asked to keep never lies in a request, an image or its history.
//! <https://github.com/moby/buildkit/blob/master/session/grpc.go>

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;

use bollard::health::health_check_response::ServingStatus;
use bollard::health::health_server::{Health, HealthServer};
use bollard::health::{HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse};
use bollard::moby::buildkit::secrets::v1::secrets_server::{Secrets, SecretsServer};
use bollard::moby::buildkit::secrets::v1::{GetSecretRequest, GetSecretResponse};
use bollard::moby::filesync::v1::auth_server::{Auth, AuthServer};
use bollard::moby::filesync::v1::{
    CredentialsRequest, CredentialsResponse, FetchTokenRequest, FetchTokenResponse, GetTokenAuthorityRequest,
    GetTokenAuthorityResponse, VerifyTokenAuthorityRequest, VerifyTokenAuthorityResponse,
};
use futures_util::Stream;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioExecutor;
use tokio::task::JoinHandle;
use tonic::codegen::Service;
use tonic::{Response, Status};

use super::wire::{self, Address, Body, Connection};
use crate::aws::Login;
use crate::failure::Failure;
use crate::names::Secret;

/// What the engine may ask for. Each is called only if the session names it.
const METHODS: [&str; 2] = ["/moby.buildkit.secrets.v1.Secrets/GetSecret", "/moby.filesync.v1.Auth/Credentials"];

/// A session that is open until this is dropped.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: String,
    task: JoinHandle<()>,
    _connection: Connection,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Session {
    /// Opens a session for one build.
    pub(super) async fn open(
        address: &Address,
        secrets: &BTreeMap<String, Secret>,
        logins: &BTreeMap<String, Login>,
    ) -> Result<Self, Failure> {
        let id = identifier()?;
        let mut request = Request::builder()
            .method(Method::POST)
            .uri("/session")
            .header("connection", "Upgrade")
            .header("upgrade", "h2c")
            .header("x-docker-expose-session-uuid", &id)
            .header("x-docker-expose-session-name", "");
        for method in METHODS {
            request = request.header("x-docker-expose-session-grpc-method", method);
        }
        let empty: Body = Empty::new().map_err(|never: Infallible| match never {}).boxed_unsync();
        let request = request.body(empty).map_err(|error| Failure::bug(format!("a session: {error}")))?;
        let (response, connection) = address.send(request).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(Failure::remote(format!(
                "the Docker engine opens no session: it answered {}",
                response.status()
            ))
            .hint("an engine with BuildKit is needed: Docker 20.10 or later"));
        }
        let offer = Offer { secrets: secrets.clone(), logins: logins.clone() };
        let upgraded = hyper::upgrade::on(response).await.map_err(wire::broken)?;
        Ok(Self { id, task: tokio::spawn(serve(upgraded, offer)), _connection: connection })
    }
}

/// Answers the engine's questions until it hangs up.
async fn serve(io: Upgraded, offer: Offer) {
    let secrets = SecretsServer::new(offer.clone());
    let logins = AuthServer::new(offer);
    let health = HealthServer::new(Alive);
    let service = service_fn(move |request: Request<Incoming>| {
        let (mut secrets, mut logins, mut health) = (secrets.clone(), logins.clone(), health.clone());
        async move {
            match request.uri().path().split('/').nth(1).unwrap_or_default() {
                "moby.buildkit.secrets.v1.Secrets" => secrets.call(request).await,
                "moby.filesync.v1.Auth" => logins.call(request).await,
                "grpc.health.v1.Health" => health.call(request).await,
                _ => Ok(Status::unimplemented("not offered").into_http()),
            }
        }
    });
    // The engine ends the session when the build ends: it sees what went wrong, if anything did.
    drop(hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await);
}

/// A name that no other session of the engine has.
fn identifier() -> Result<String, Failure> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| Failure::bug(format!("no randomness: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What one build may ask for.
#[derive(Clone, Debug)]
struct Offer {
    secrets: BTreeMap<String, Secret>,
    logins: BTreeMap<String, Login>,
}

#[tonic::async_trait]
impl Secrets for Offer {
    async fn get_secret(
        &self,
        request: tonic::Request<GetSecretRequest>,
    ) -> Result<Response<GetSecretResponse>, Status> {
        let id = &request.get_ref().id;
        let secret = self.secrets.get(id).ok_or_else(|| Status::not_found(format!("secret {id} not found")))?;
        Ok(Response::new(GetSecretResponse { data: secret.expose().as_bytes().to_vec() }))
    }
}

#[tonic::async_trait]
impl Auth for Offer {
    async fn credentials(
        &self,
        request: tonic::Request<CredentialsRequest>,
    ) -> Result<Response<CredentialsResponse>, Status> {
        // A registry that nobody is logged in at is asked as nobody.
        let answer = match self.logins.get(&request.get_ref().host) {
            Some(login) => {
                CredentialsResponse { username: login.user.clone(), secret: login.password.expose().to_owned() }
            }
            None => CredentialsResponse::default(),
        };
        Ok(Response::new(answer))
    }

    // The engine fetches the registry's token itself, with the login above.
    async fn fetch_token(&self, _: tonic::Request<FetchTokenRequest>) -> Result<Response<FetchTokenResponse>, Status> {
        Err(Status::unimplemented("the engine fetches tokens itself"))
    }

    async fn get_token_authority(
        &self,
        _: tonic::Request<GetTokenAuthorityRequest>,
    ) -> Result<Response<GetTokenAuthorityResponse>, Status> {
        Err(Status::unimplemented("the engine fetches tokens itself"))
    }

    async fn verify_token_authority(
        &self,
        _: tonic::Request<VerifyTokenAuthorityRequest>,
    ) -> Result<Response<VerifyTokenAuthorityResponse>, Status> {
        Err(Status::unimplemented("the engine fetches tokens itself"))
    }
}

/// What the engine asks every few seconds: whether somebody is still there.
#[derive(Clone, Copy, Debug)]
struct Alive;

#[tonic::async_trait]
impl Health for Alive {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(&self, _: tonic::Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(HealthCheckResponse { status: ServingStatus::Serving.into() }))
    }

    async fn list(&self, _: tonic::Request<HealthListRequest>) -> Result<Response<HealthListResponse>, Status> {
        Err(Status::unimplemented("one service"))
    }

    async fn watch(&self, _: tonic::Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("ask again"))
    }
}
