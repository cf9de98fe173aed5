//! The judgement of a check: pure, from what the looks at it showed.

use std::num::NonZeroU32;

use common::poll::Judged;

/// What one look showed of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sample {
    /// It is as expected.
    Good(String),
    /// It is not.
    Bad(String),
    /// It is on its way: neither good nor bad.
    Unsettled(String),
    /// Nobody could look.
    Unseen(String),
    /// It was the version before that answered: that speaks neither for nor against this one.
    OfAnother(String),
}

impl Sample {
    /// What was there.
    pub(crate) fn observed(&self) -> &str {
        match self {
            Self::Good(observed)
            | Self::Bad(observed)
            | Self::Unsettled(observed)
            | Self::Unseen(observed)
            | Self::OfAnother(observed) => observed,
        }
    }

    /// What was bad may still become good.
    pub(crate) fn or_unsettled(self) -> Self {
        match self {
            Self::Bad(observed) => Self::Unsettled(observed),
            other => other,
        }
    }
}

/// What is known of a check, or of all of a service's. In the order of gravity: the worst one decides, always in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// It is as expected.
    Pass,
    /// It is as expected now, and was not in between.
    Warn,
    /// There was not enough to see.
    NoData,
    /// Nobody could look.
    Error,
    /// It is not as expected.
    Fail,
}

/// How many looks decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// So many good ones in a row pass.
    pub(crate) passes: NonZeroU32,
    /// So many in a row that are not good fail.
    pub(crate) failures: NonZeroU32,
}

/// The looks at one check so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// How many looks there were, and how many of them were good.
    pub(crate) looks: u32,
    pub(crate) good: u32,
    /// What the last one showed.
    pub(crate) observed: String,
    good_in_a_row: u32,
    bad_in_a_row: u32,
    unseen_in_a_row: u32,
    has_relapsed: bool,
}

impl Tally {
    pub(crate) fn add(&mut self, sample: Sample) {
        self.looks += 1;
        self.good += u32::from(matches!(sample, Sample::Good(_)));
        self.has_relapsed |= matches!(sample, Sample::Bad(_)) && self.good > 0;
        let (good, bad, unseen, observed) = match sample {
            Sample::Good(observed) => (self.good_in_a_row + 1, 0, 0, observed),
            Sample::Bad(observed) => (0, self.bad_in_a_row + 1, self.unseen_in_a_row, observed),
            Sample::Unseen(observed) => (0, self.bad_in_a_row, self.unseen_in_a_row + 1, observed),
            Sample::Unsettled(observed) => (0, 0, 0, observed),
            Sample::OfAnother(_) if self.has_begun() => return,
            Sample::OfAnother(observed) => (0, 0, 0, observed),
        };
        (self.good_in_a_row, self.bad_in_a_row, self.unseen_in_a_row) = (good, bad, unseen);
        self.observed = observed;
    }

    /// Whether there is a row of looks to go on with.
    fn has_begun(&self) -> bool {
        self.good_in_a_row + self.bad_in_a_row + self.unseen_in_a_row > 0
    }

    /// Whether the last look was good.
    pub(crate) fn is_good(&self) -> bool {
        self.good_in_a_row > 0
    }

    /// The verdict, once there is one. A pass is one as long as no later look takes it back.
    pub(crate) fn judge(&self, policy: Policy) -> Judged<Verdict> {
        let not_good = self.bad_in_a_row + self.unseen_in_a_row;
        match () {
            () if not_good >= policy.failures.get() && self.bad_in_a_row > 0 => Judged::Done(Verdict::Fail),
            () if not_good >= policy.failures.get() => Judged::Done(Verdict::Error),
            () if self.good_in_a_row >= policy.passes.get() && self.has_relapsed => Judged::Done(Verdict::Warn),
            () if self.good_in_a_row >= policy.passes.get() => Judged::Done(Verdict::Pass),
            () => Judged::Wait,
        }
    }

    /// The verdict when there is no more time to look: what was not decided by then is not known.
    pub(crate) fn conclude(&self, policy: Policy) -> Verdict {
        match self.judge(policy) {
            Judged::Done(verdict) => verdict,
            Judged::Wait if self.unseen_in_a_row > 0 => Verdict::Error,
            Judged::Wait => Verdict::NoData,
        }
    }
}

/// The verdict on all checks of a service, once there is one: the first that fails decides, a pass takes them all.
pub(crate) fn judge_all(tallies: &[Tally], policy: Policy) -> Judged<Verdict> {
    let judgements: Vec<Judged<Verdict>> = tallies.iter().map(|tally| tally.judge(policy)).collect();
    let decided = judgements.iter().filter_map(|judgement| match judgement {
        Judged::Done(verdict) => Some(*verdict),
        Judged::Wait => None,
    });
    match decided.max() {
        Some(worst @ (Verdict::Fail | Verdict::Error)) => Judged::Done(worst),
        Some(worst) if !judgements.contains(&Judged::Wait) => Judged::Done(worst),
        _ => Judged::Wait,
    }
}

impl Verdict {
    /// The word for it, and the sign before it.
    pub(crate) const fn word(self) -> (&'static str, &'static str) {
        match self {
            Self::Pass => ("✅", "pass"),
            Self::Warn => ("⚠️", "warn"),
            Self::NoData => ("❓", "no data"),
            Self::Error => ("❓", "error"),
            Self::Fail => ("❌", "fail"),
        }
    }

    /// What it makes of a service.
    pub(crate) const fn result(self) -> &'static str {
        match self {
            Self::Pass => "healthy",
            Self::Warn => "degraded",
            Self::NoData | Self::Error => "undecided",
            Self::Fail => "unhealthy",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy =
        Policy { passes: NonZeroU32::MIN.saturating_add(1), failures: NonZeroU32::MIN.saturating_add(2) };

    /// `+` good, `-` bad, `~` unsettled, `o` of another version, `?` unseen.
    fn tally(looks: &str) -> Tally {
        let mut tally = Tally::default();
        for look in looks.chars() {
            tally.add(match look {
                '+' => Sample::Good("good".into()),
                '-' => Sample::Bad("bad".into()),
                '~' => Sample::Unsettled("unsettled".into()),
                'o' => Sample::OfAnother("of another".into()),
                _ => Sample::Unseen("unseen".into()),
            });
        }
        tally
    }

    fn check(looks: &str, judged: Judged<Verdict>, concluded: Verdict) {
        let tally = tally(looks);
        assert_eq!((tally.judge(POLICY), tally.conclude(POLICY)), (judged, concluded), "{looks}");
    }

    #[test]
    fn looks_in_a_row_decide() {
        use Judged::{Done, Wait};
        use Verdict::{Error, Fail, NoData, Pass, Warn};

        check("", Wait, NoData);
        check("+", Wait, NoData);
        check("++", Done(Pass), Pass);
        check("--", Wait, NoData);
        check("---", Done(Fail), Fail);
        check("--++", Done(Pass), Pass);
        check("+-++", Done(Warn), Warn);
        check("+-+-", Wait, NoData);
        check("??", Wait, Error);
        check("???", Done(Error), Error);
        check("?-?", Done(Fail), Fail);
        check("??++", Done(Pass), Pass);
        check("~~~~~~", Wait, NoData);
        check("--~--", Wait, NoData);
        check("+~++", Done(Pass), Pass);
        check("++---", Done(Fail), Fail);
        check("oooooo", Wait, NoData);
        check("o+oo+", Done(Pass), Pass);
        check("-oo-o-", Done(Fail), Fail);
    }

    #[test]
    fn the_first_failure_decides_and_a_pass_takes_them_all() {
        let check = |looks: &[&str], expected| {
            let tallies: Vec<Tally> = looks.iter().map(|looks| tally(looks)).collect();
            assert_eq!(judge_all(&tallies, POLICY), expected, "{looks:?}");
        };
        check(&["++", "++"], Judged::Done(Verdict::Pass));
        check(&["++", "~~"], Judged::Wait);
        check(&["++", "+-++"], Judged::Done(Verdict::Warn));
        check(&["~~", "---"], Judged::Done(Verdict::Fail));
        check(&["???", "---"], Judged::Done(Verdict::Fail));
        check(&["++", "???"], Judged::Done(Verdict::Error));
        check(&[], Judged::Wait);
    }

    #[test]
    fn the_order_of_gravity_is_fixed() {
        use Verdict::{Error, Fail, NoData, Pass, Warn};
        assert!(Fail > Error && Error > NoData && NoData > Warn && Warn > Pass);
    }
}
