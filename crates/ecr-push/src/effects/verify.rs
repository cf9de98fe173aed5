//! What an image has to pass once it is in the registry: its size there, ECR's own scan, and ECR's signature. Until then no
//! tag moves to it, and the run does not succeed.

use std::time::Duration;

use common::aws::Signature;
use common::duration::human;
use common::failure::Failure;
use common::names::Digest;
use common::policy::{Finding, Violation, too_big_compressed};
use common::poll::{Ended, Judged, Pace, poll};
use futures_util::future::join_all;
use tokio::time::Instant;

use super::{Fate, ImageOutcome, Run};
use crate::config::Target;
use crate::gate::scanned;
use crate::scan::{Next, Seen, judge, told};

/// How often ECR is asked.
const EVERY: Duration = Duration::from_secs(5);

/// How long ECR may take to sign.
const SIGNED_WITHIN: Duration = Duration::from_secs(120);

/// What came of something that is waited for.
enum Waited<T> {
    Done(T),
    /// It does not pass, or nobody can tell: that is not the same as passing.
    Blocked(Violation),
    Ended(Fate),
}

impl Run<'_> {
    /// Holds an image that is in the registry against what it has to pass there.
    pub(super) async fn verify(&self, image: &mut ImageOutcome) {
        let mut violations = Vec::new();
        for checked in
            [self.verify_size(image).await, self.verify_scan(image).await, self.verify_signature(image).await]
        {
            match checked {
                Waited::Done(found) => violations.extend(found),
                Waited::Blocked(violation) => violations.push(violation),
                Waited::Ended(fate) => {
                    image.fate = fate;
                    return;
                }
            }
        }
        if !violations.is_empty() {
            image.fate = Fate::Blocked(violations);
        }
    }

    async fn verify_size(&self, image: &mut ImageOutcome) -> Waited<Vec<Violation>> {
        if image.target.policy.max_compressed_size.is_none() {
            return Waited::Done(Vec::new());
        }
        if image.size().is_none()
            && let Some(pushed) = &mut image.pushed
        {
            match self.aws.ecr.image_by_digest(&image.target.repository, &pushed.manifest.digest).await {
                Ok(details) => pushed.details = details,
                Err(failure) => return Waited::Ended(Fate::Failed(failure)),
            }
        }
        match image.size() {
            Some(size) => Waited::Done(too_big_compressed(size, &image.target.policy).into_iter().collect()),
            None => Waited::Blocked(Violation {
                rule: "max-compressed-size",
                found: "ECR does not tell its size".to_owned(),
                fix: "run again".to_owned(),
            }),
        }
    }

    async fn verify_scan(&self, image: &mut ImageOutcome) -> Waited<Vec<Violation>> {
        let (true, Some(pushed)) = (self.config.is_scanned_by_ecr, &image.pushed) else {
            return Waited::Done(Vec::new());
        };
        let scans = pushed.manifest.images.iter().map(|digest| self.scan(&image.target, digest));
        let mut findings = Vec::new();
        for scan in join_all(scans).await {
            match scan {
                Waited::Done(found) => findings.extend(found),
                Waited::Blocked(violation) => return Waited::Blocked(violation),
                Waited::Ended(fate) => return Waited::Ended(fate),
            }
        }
        let scanned = scanned("ECR".to_owned(), &findings, &image.target, self.edges.now());
        let violations = scanned.judgement.violations();
        image.scanned.push(scanned);
        Waited::Done(violations)
    }

    /// Waits for what ECR finds in one image.
    async fn scan(&self, target: &Target, digest: &Digest) -> Waited<Vec<Finding>> {
        let (ecr, repository) = (&self.aws.ecr, &target.repository);
        let began = Instant::now();
        let (mut changed, mut seen) = (began, Seen::default());
        let ended = poll(self.pace(self.left()), &self.edges.stop, async || {
            let scan = ecr.scan(repository, digest).await?;
            if scan != seen.scan {
                changed = Instant::now();
                scan.iter().for_each(|scan| self.edges.runner.say(format!("{}: {}", target.key, told(scan))));
            }
            let over = scan.as_ref().and_then(|scan| scan.completed_at);
            let over = over.and_then(|moment| Duration::try_from(self.edges.now().duration_since(moment)).ok());
            let unchanged = changed.elapsed().max(over.unwrap_or_default());
            seen = Seen { scan, waited: began.elapsed(), unchanged, start: seen.start.take() };
            Ok(match judge(&seen) {
                Next::Wait => Judged::Wait,
                Next::Ask => {
                    seen.start = Some(ecr.start_image_scan(repository, digest).await?);
                    Judged::Wait
                }
                Next::Judge => Judged::Done(Ok(seen.scan.take().map(|scan| scan.findings).unwrap_or_default())),
                Next::Block(found, fix) => Judged::Done(Err(Violation { rule: "gate: ecr", found, fix })),
            })
        })
        .await;
        let found = || match &seen.scan {
            Some(scan) => format!("{} after {}", told(scan), human(began.elapsed())),
            None => format!("ECR has no scan of it after {}", human(began.elapsed())),
        };
        waited(
            ended,
            "gate: ecr",
            found,
            "run again: what is there is not pushed twice; or give it more time by the input `timeout`",
        )
    }

    async fn verify_signature(&self, image: &mut ImageOutcome) -> Waited<Vec<Violation>> {
        let (true, Some(digest)) = (self.config.repositories.signed, image.digest().cloned()) else {
            return Waited::Done(Vec::new());
        };
        let mut last = Vec::new();
        let ended = poll(self.pace(SIGNED_WITHIN.min(self.left())), &self.edges.stop, async || {
            last = self.aws.ecr.signatures(&image.target.repository, &digest).await?;
            Ok(signature(&last).map_or(Judged::Wait, Judged::Done))
        })
        .await;
        let found = || match last.as_slice() {
            [] => "ECR has not signed it".to_owned(),
            [first, ..] => format!("ECR's signature by {} is {}", first.profile, first.status),
        };
        let help = "check that a rule of ECR's signing configuration is about this repository (`aws ecr get-signing-configuration`), then run again";
        match waited(ended, "signed", found, help) {
            Waited::Done(profile) => {
                image.signed = Some(profile);
                Waited::Done(Vec::new())
            }
            Waited::Blocked(violation) => Waited::Blocked(violation),
            Waited::Ended(fate) => Waited::Ended(fate),
        }
    }

    fn pace(&self, limit: Duration) -> Pace {
        Pace { every: EVERY, ..Pace::until(limit) }
    }
}

/// What a wait came to. Time that is up is not a failure of anybody's: the image is there, and does not pass.
fn waited<T>(
    ended: Result<Ended<Result<T, Violation>>, Failure>,
    rule: &'static str,
    found: impl FnOnce() -> String,
    help: &str,
) -> Waited<T> {
    match ended {
        Ok(Ended::Done(Ok(done))) => Waited::Done(done),
        Ok(Ended::Done(Err(violation))) => Waited::Blocked(violation),
        Ok(Ended::TimedOut) => Waited::Blocked(Violation { rule, found: found(), fix: help.to_owned() }),
        Ok(Ended::Cancelled) => Waited::Ended(Fate::Cancelled),
        Err(failure) => Waited::Ended(Fate::Failed(failure)),
    }
}

/// The profiles that an image is signed with, or why it is not; `None` as long as that is not known.
fn signature(signatures: &[Signature]) -> Option<Result<String, Violation>> {
    if let Some(failed) = signatures.iter().find(|signature| signature.status == "FAILED") {
        let found = format!("ECR could not sign it by {}: {}", failed.profile, failed.reason);
        let fix = "allow `signer:SignPayload` on the signing profile to the role that pushes, then push a new commit";
        return Some(Err(Violation { rule: "signed", found, fix: fix.to_owned() }));
    }
    let are_complete = !signatures.is_empty() && signatures.iter().all(|signature| signature.status == "COMPLETE");
    let profiles: Vec<&str> = signatures.iter().map(|signature| signature.profile.as_str()).collect();
    are_complete.then(|| Ok(profiles.join(", ")))
}
