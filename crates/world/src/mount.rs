//! The world in-process, under the real SDKs.

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use http_body_util::BodyExt;

use crate::state::World;

impl World {
    /// This world as the connector of an HTTP client. It answers whatever host it is asked for.
    pub fn mount(&self) -> SharedHttpConnector {
        SharedHttpConnector::new(Mounted(self.clone()))
    }
}

#[derive(Debug)]
struct Mounted(World);

impl HttpConnector for Mounted {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let world = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(ConnectorError::user)?.to_bytes();
            let answer = world.exchange(&http::Request::from_parts(parts, body)).await;
            let answer =
                answer.ok_or_else(|| ConnectorError::io("connection closed before message completed".into()))?;
            HttpResponse::try_from(answer.map(SdkBody::from)).map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::Fault;

    async fn ask(world: &World, operation: &str, body: &'static str) -> Result<(u16, String), ConnectorError> {
        let mut request = HttpRequest::new(SdkBody::from(body));
        request.set_uri("https://ssm.eu-west-1.amazonaws.com/").unwrap();
        request.set_method("POST").unwrap();
        request.headers_mut().insert("x-amz-target", format!("AmazonSSM.{operation}"));
        let mut response = world.mount().call(request).await?;
        let body = response.take_body().collect().await.unwrap().to_bytes();
        Ok((response.status().as_u16(), String::from_utf8(body.to_vec()).unwrap()))
    }

    #[tokio::test]
    async fn a_mounted_world_answers_and_keeps_a_transcript() {
        let world = World::new();
        let put = r#"{"Name":"/a","Value":"b","Type":"String"}"#;
        assert_eq!(ask(&world, "PutParameter", put).await.unwrap().0, 200);
        let (status, body) = ask(&world, "PutParameter", put).await.unwrap();
        assert_eq!((status, body.contains("ParameterAlreadyExists")), (400, true));
        assert_eq!(world.writes(), ["ssm:PutParameter", "ssm:PutParameter"]);
        let transcript = world.transcript();
        let line: serde_json::Value = serde_json::from_str(transcript.lines().next().unwrap()).unwrap();
        assert_eq!((&line["request"]["Name"], &line["answer"]["Version"]), (&"/a".into(), &1.into()));
    }

    #[tokio::test]
    async fn faults_meet_their_calls() {
        let world = World::new();
        for (fault, expected) in [
            (Fault::Throttled, "ThrottlingException"),
            (Fault::Denied, "is not authorized to perform: ssm:GetParameter"),
            (Fault::Unavailable, "unavailable"),
        ] {
            world.script("ssm:GetParameter", fault, 1);
            let (_, body) = ask(&world, "GetParameter", r#"{"Name":"/a"}"#).await.unwrap();
            assert!(body.contains(expected), "{body}");
        }
        world.script("ssm:GetParameter", Fault::AnswerLost, 1);
        assert!(ask(&world, "GetParameter", r#"{"Name":"/a"}"#).await.unwrap_err().is_io());
        assert!(ask(&world, "GetParameter", r#"{"Name":"/a"}"#).await.unwrap().1.contains("ParameterNotFound"));
    }
}
