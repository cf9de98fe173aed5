//! Clients that die: from one call on nobody hears an answer any more.

use std::future;

use bytes::Bytes;
use http::{Request, Response};
use tokio::sync::watch;

use crate::state::World;

/// The death of whoever calls the world.
#[derive(Debug)]
pub(crate) struct Death {
    /// How many more calls are carried out.
    calls_left: usize,
    is_dead: watch::Sender<bool>,
}

impl World {
    /// Has its clients die: of the calls from now on, the one of this number (from one) is carried out, but its answer never
    /// comes, and nothing that is asked later is even heard. What this gives is done once that has happened, so that a test can
    /// drop what runs then:
    ///
    /// ```text
    /// tokio::select! { _ = action => {}, () = world.dies_at(7) => {} }
    /// world.revive();
    /// ```
    pub fn dies_at(&self, call: usize) -> impl Future<Output = ()> + Send + use<> {
        let (is_dead, mut news) = watch::channel(call == 0);
        self.with(|state| state.death = Some(Death { calls_left: call, is_dead }));
        async move {
            if news.wait_for(|is_dead| *is_dead).await.is_err() {
                // It was called off.
                future::pending::<()>().await;
            }
        }
    }

    /// Hears its clients again. Those that died meanwhile stay dead.
    pub fn revive(&self) {
        self.with(|state| state.death = None);
    }

    /// Answers one request that came over the network, unless its client has died: then this never ends. `None` as for
    /// [`World::answer`].
    pub(crate) async fn exchange(&self, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        let answer = self.answer(request);
        if self.with(|state| state.death.as_ref().is_some_and(Death::is_past)) {
            future::pending::<()>().await;
        }
        answer
    }
}

impl Death {
    /// Whether nothing is heard any more.
    pub(crate) fn is_past(&self) -> bool {
        self.calls_left == 0
    }

    /// A call was carried out.
    pub(crate) fn comes_closer(&mut self) {
        self.calls_left = self.calls_left.saturating_sub(1);
        if self.is_past() {
            self.is_dead.send_replace(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    async fn put(world: &World, name: &str) -> Option<Response<Bytes>> {
        let body = format!(r#"{{"Name":"{name}","Value":"b","Type":"String"}}"#);
        let request =
            Request::post("https://ssm.eu-west-1.amazonaws.com/").header("x-amz-target", "AmazonSSM.PutParameter");
        world.exchange(&request.body(Bytes::from(body)).unwrap()).await
    }

    #[tokio::test(start_paused = true)]
    async fn the_call_is_carried_out_and_nobody_hears_of_it() {
        let world = World::new();
        put(&world, "/zero").await;
        let death = world.dies_at(2);
        let client = async {
            put(&world, "/one").await;
            put(&world, "/two").await;
        };
        tokio::select! { () = client => panic!("it heard an answer"), () = death => {} }
        assert!(put(&world, "/three").now_or_never().is_none(), "nothing is heard any more");
        world.revive();
        assert!(put(&world, "/four").await.is_some());
        let is_there = |name: &str| world.parameter(name).is_some();
        assert_eq!(["/zero", "/one", "/two", "/three", "/four"].map(is_there), [true, true, true, false, true]);
        assert_eq!(world.writes().len(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_makes_fewer_calls_survives() {
        let world = World::new();
        let death = world.dies_at(3);
        let client = async {
            put(&world, "/one").await;
            put(&world, "/two").await.is_some()
        };
        tokio::select! { heard = client => assert!(heard), () = death => panic!("it died too early") }
    }
}
