//! JSON that must reach AWS, or come from it, as written: typed SDK structures drop every member that is newer than they are.

use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::AfterDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use serde_json::Value;

/// Puts this JSON into a request in place of what the SDK serialised. Signing comes after.
pub(super) fn body(json: &Value) -> impl Fn(&mut HttpRequest) + Send + Sync + 'static {
    let text = json.to_string();
    move |request| {
        request.headers_mut().insert("content-length", text.len().to_string());
        *request.body_mut() = SdkBody::from(text.clone());
    }
}

/// Keeps the answer's JSON as it came.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer(Arc<Mutex<Value>>);

impl Answer {
    /// The last answer; `Null` if there was none.
    pub(super) fn take(&self) -> Value {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Intercept for Answer {
    fn name(&self) -> &'static str {
        "Answer"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let json = context.response().body().bytes().and_then(|bytes| serde_json::from_slice(bytes).ok());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = json.unwrap_or_default();
        Ok(())
    }
}
