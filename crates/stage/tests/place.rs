//! A place to work in: the world's account, reached over a network whose answers come in any order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use common::aws::{Place, Ssm};
use common::edges::Edges;
use common::http::Http;
use stage::Stage;
use tokio::task::yield_now;

/// One run of a job: what it sees of the world.
pub(crate) struct Run {
    pub(crate) edges: Edges,
    pub(crate) ssm: Ssm,
}

/// A run of this number. With a seed, its requests overtake those of others, in another way for each seed.
pub(crate) async fn run(stage: &Stage, number: u64, seed: Option<u64>) -> Run {
    over(stage, number, SharedHttpConnector::new(Network::of(stage, seed.map(|seed| seed * 97 + number), false))).await
}

/// A run to whom AWS does not tell the time.
pub(crate) async fn timeless_run(stage: &Stage, number: u64) -> Run {
    over(stage, number, SharedHttpConnector::new(Network::of(stage, None, true))).await
}

async fn over(stage: &Stage, number: u64, network: SharedHttpConnector) -> Run {
    let id = number.to_string();
    let edges = stage.edges(&[("GITHUB_RUN_ID", &id), ("GITHUB_ACTOR", "octocat")]);
    let edges = Edges { http: Http::over(network), ..edges };
    let ssm = edges.aws(&Place::default()).await.unwrap().ssm;
    Run { edges, ssm }
}

/// A network to the world that lets others go first, as often as dice say.
#[derive(Clone, Debug)]
struct Network {
    world: SharedHttpConnector,
    dice: Option<Arc<AtomicU64>>,
    is_timeless: bool,
}

impl Network {
    fn of(stage: &Stage, seed: Option<u64>, is_timeless: bool) -> Self {
        Self { world: stage.world.mount(), dice: seed.map(|seed| Arc::new(AtomicU64::new(seed))), is_timeless }
    }

    async fn dawdle(&self) {
        let Some(dice) = &self.dice else { return };
        // Knuth's linear congruential generator: the same seed is the same story.
        let next =
            |seed: u64| Some(seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
        let thrown = dice.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or_default();
        for _ in 0..(thrown >> 33) % 4 {
            yield_now().await;
        }
    }
}

impl HttpConnector for Network {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let network = self.clone();
        HttpConnectorFuture::new(async move {
            network.dawdle().await;
            let mut response = network.world.call(request).await?;
            network.dawdle().await;
            if network.is_timeless {
                response.headers_mut().remove("date");
            }
            Ok(response)
        })
    }
}
