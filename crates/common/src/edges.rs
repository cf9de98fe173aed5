//! Everything outside of this process, as an action gets to see it.

use jiff::Timestamp;

use crate::aws::{Aws, Place};
use crate::docker::Docker;
use crate::failure::Failure;
use crate::github::GitHub;
use crate::http::Http;
use crate::names::Secret;
use crate::runner::{Event, Runner};
use crate::stop::Stop;

/// The outside worlds of one run. Connections are made when they are asked for.
pub struct Edges {
    /// The runner that this process is a step of.
    pub runner: Runner,
    /// The wish to stop.
    pub stop: Stop,
    /// The HTTP client that all of them share.
    pub http: Http,
}

impl Edges {
    /// The AWS account and region of this place, with credentials that were proven by a call where the place demands it.
    pub async fn aws(&self, place: &Place) -> Result<Aws, Failure> {
        Aws::connect(self.runner.environment(), &self.http, place).await
    }

    /// The repository on GitHub. `None` outside of a workflow, or without a token.
    pub fn github(&self, token: &Secret) -> Option<GitHub> {
        GitHub::connect(self.runner.environment(), &self.http, token, &self.stop)
    }

    /// The Docker engine of the runner's host.
    pub async fn docker(&self) -> Result<Docker, Failure> {
        Docker::connect(self.runner.environment()).await
    }

    /// The present moment, for people and for comparing with AWS's timestamps. Durations are measured by tokio's clock.
    pub fn now(&self) -> Timestamp {
        self.http.now()
    }

    /// The event that started the workflow.
    pub fn event(&self) -> Result<Event, Failure> {
        Event::read(self.runner.environment())
    }
}
