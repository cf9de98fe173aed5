//! The line between an action and its world, with somebody who listens in.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use serde_json::Value;
use world::World;

/// Hears of a request, by its number (from one), before it reaches the world.
type Asked = dyn Fn(usize) + Send + Sync;
/// Hears of an answer, by its operation (`DescribeServices`), before it reaches the action, and may change it.
type Answered = dyn Fn(&str, &mut Value) + Send + Sync;

/// The line. Without a listener it is as if it were not there.
#[derive(Clone, Default)]
pub(crate) struct Line(Arc<Listeners>);

#[derive(Default)]
struct Listeners {
    requests: AtomicUsize,
    asked: RwLock<Option<Arc<Asked>>>,
    answered: RwLock<Option<Arc<Answered>>>,
}

impl Line {
    pub(crate) fn on_request(&self, asked: impl Fn(usize) + Send + Sync + 'static) {
        *self.0.asked.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(asked));
        self.0.requests.store(0, Ordering::SeqCst);
    }

    pub(crate) fn on_answer(&self, answered: impl Fn(&str, &mut Value) + Send + Sync + 'static) {
        *self.0.answered.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(answered));
    }

    /// This line to a world.
    pub(crate) fn to(&self, world: &World) -> SharedHttpConnector {
        SharedHttpConnector::new(Connected { line: self.clone(), world: world.mount() })
    }

    fn hear_request(&self) {
        let number = self.0.requests.fetch_add(1, Ordering::SeqCst) + 1;
        let asked = self.0.asked.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(asked) = asked {
            asked(number);
        }
    }

    fn listener(&self) -> Option<Arc<Answered>> {
        self.0.answered.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Line").field(&self.0.requests).finish()
    }
}

#[derive(Debug)]
struct Connected {
    line: Line,
    world: SharedHttpConnector,
}

impl HttpConnector for Connected {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.line.hear_request();
        let operation = request.headers().get("x-amz-target").and_then(|target| target.rsplit('.').next());
        let (operation, line) = (operation.unwrap_or_default().to_owned(), self.line.clone());
        let answer = self.world.call(request);
        HttpConnectorFuture::new(async move {
            let mut response = answer.await?;
            if let Some(answered) = line.listener()
                && let Some(Ok(mut body)) = response.body().bytes().map(serde_json::from_slice::<Value>)
            {
                answered(&operation, &mut body);
                let text = body.to_string();
                response.headers_mut().insert("content-length", text.len().to_string());
                *response.body_mut() = text.into();
            }
            Ok(response)
        })
    }
}
