//! The judgement of a check: pure, from what the looks at it showed.

use std::num::NonZeroU32;

use common::poll::Judged;

use crate::check::Check;

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
    /// It is between the limit of what is good and the one of what is bad.
    Warned(String),
    /// It is not as expected, and no further look will change that.
    Certain(String),
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
            | Self::Warned(observed)
            | Self::Certain(observed)
            | Self::OfAnother(observed) => observed,
        }
    }

    /// The same, observed in other words.
    pub(crate) fn map(self, words: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Good(observed) => Self::Good(words(observed)),
            Self::Bad(observed) => Self::Bad(words(observed)),
            Self::Unsettled(observed) => Self::Unsettled(words(observed)),
            Self::Unseen(observed) => Self::Unseen(words(observed)),
            Self::Warned(observed) => Self::Warned(words(observed)),
            Self::Certain(observed) => Self::Certain(words(observed)),
            Self::OfAnother(observed) => Self::OfAnother(words(observed)),
        }
    }

    /// Of several samples of one check the one with the most of this stands for them.
    pub(crate) const fn gravity(&self) -> u8 {
        match self {
            Self::Good(_) => 0,
            Self::Warned(_) => 1,
            Self::OfAnother(_) => 2,
            Self::Unsettled(_) => 3,
            Self::Unseen(_) => 4,
            Self::Bad(_) => 5,
            Self::Certain(_) => 6,
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

impl Policy {
    /// The last look decides.
    pub(crate) const LATEST: Self = Self { passes: NonZeroU32::MIN, failures: NonZeroU32::MIN };
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
    is_warned: bool,
    is_certain: bool,
}

impl Tally {
    pub(crate) fn add(&mut self, sample: Sample) {
        self.looks += 1;
        self.good += u32::from(matches!(sample, Sample::Good(_) | Sample::Warned(_)));
        self.has_relapsed |= matches!(sample, Sample::Bad(_)) && self.good > 0;
        self.is_certain |= matches!(sample, Sample::Certain(_));
        let is_warned = matches!(sample, Sample::Warned(_));
        let (good, bad, unseen, observed) = match sample {
            Sample::Good(observed) | Sample::Warned(observed) => (self.good_in_a_row + 1, 0, 0, observed),
            Sample::Bad(observed) | Sample::Certain(observed) => {
                (0, self.bad_in_a_row + 1, self.unseen_in_a_row, observed)
            }
            Sample::Unseen(observed) => (0, self.bad_in_a_row, self.unseen_in_a_row + 1, observed),
            Sample::Unsettled(observed) => (0, 0, 0, observed),
            Sample::OfAnother(_) if self.has_begun() => return,
            Sample::OfAnother(observed) => (0, 0, 0, observed),
        };
        (self.good_in_a_row, self.bad_in_a_row, self.unseen_in_a_row) = (good, bad, unseen);
        self.is_warned = is_warned;
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

    /// What was seen last; of a relapse that is over, how much of it there was.
    pub(crate) fn in_short(&self) -> String {
        match self.looks {
            0 => "never looked at".to_owned(),
            looks if self.has_relapsed && self.is_good() => {
                format!("{}, after {} of {looks} looks were good", self.observed, self.good)
            }
            _ => self.observed.clone(),
        }
    }

    /// The verdict, once there is one. A pass is one as long as no later look takes it back.
    pub(crate) fn judge(&self, policy: Policy) -> Judged<Verdict> {
        let not_good = self.bad_in_a_row + self.unseen_in_a_row;
        match () {
            () if self.is_certain => Judged::Done(Verdict::Fail),
            () if not_good >= policy.failures.get() && self.bad_in_a_row > 0 => Judged::Done(Verdict::Fail),
            () if not_good >= policy.failures.get() => Judged::Done(Verdict::Error),
            () if self.good_in_a_row >= policy.passes.get() && (self.has_relapsed || self.is_warned) => {
                Judged::Done(Verdict::Warn)
            }
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

/// The verdict on all checks of a service, once there is one: the first required one that fails decides, a pass takes them
/// all. An optional check is waited for as any other, and can only warn; one that is observed is not waited for.
pub(crate) fn judge_all<'a>(checks: impl IntoIterator<Item = (&'a Check, &'a Tally)>) -> Judged<Verdict> {
    let judgements = checks.into_iter().filter_map(|(check, tally)| match tally.judge(check.policy) {
        Judged::Done(verdict) => check.importance.weigh(verdict).map(Judged::Done),
        Judged::Wait => check.importance.weigh(Verdict::Pass).map(|_| Judged::Wait),
    });
    let judgements: Vec<Judged<Verdict>> = judgements.collect();
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

/// The verdict on all of them when there is no more time to look.
pub(crate) fn conclude_all<'a>(checks: impl IntoIterator<Item = (&'a Check, &'a Tally)>) -> Verdict {
    let verdicts = checks.into_iter().filter_map(|(check, tally)| check.importance.weigh(tally.conclude(check.policy)));
    verdicts.max().unwrap_or(Verdict::NoData)
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
    use crate::check::Importance;

    const POLICY: Policy =
        Policy { passes: NonZeroU32::MIN.saturating_add(1), failures: NonZeroU32::MIN.saturating_add(2) };

    /// `+` good, `-` bad, `~` unsettled, `o` of another version, `w` between two limits, `!`
    /// certainly bad, `?` unseen.
    fn tally(looks: &str) -> Tally {
        let mut tally = Tally::default();
        for look in looks.chars() {
            tally.add(match look {
                '+' => Sample::Good("good".into()),
                '-' => Sample::Bad("bad".into()),
                '~' => Sample::Unsettled("unsettled".into()),
                'o' => Sample::OfAnother("of another".into()),
                'w' => Sample::Warned("warned".into()),
                '!' => Sample::Certain("certain".into()),
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
        check("!", Done(Fail), Fail);
        check("!++", Done(Fail), Fail);
        check("ww", Done(Warn), Warn);
        check("w+", Done(Pass), Pass);
        check("+w", Done(Warn), Warn);
    }

    /// `a` marks an optional check, `o` one that is observed, `r` one that is required.
    fn checks(looks: &[&str]) -> Vec<(Check, Tally)> {
        let importance = |mark| match mark {
            'a' => Importance::Optional,
            'o' => Importance::Observed,
            _ => Importance::Required,
        };
        let check = |mark| Check { importance: importance(mark), ..Check::new("status", "== 200", POLICY) };
        looks.iter().map(|looks| (check(looks.chars().next().unwrap()), tally(&looks[1..]))).collect()
    }

    #[test]
    fn the_first_failure_decides_and_a_pass_takes_them_all() {
        let check = |looks: &[&str], judged: Judged<Verdict>, concluded: Verdict| {
            let checks = checks(looks);
            let pairs = || checks.iter().map(|(check, tally)| (check, tally));
            assert_eq!((judge_all(pairs()), conclude_all(pairs())), (judged, concluded), "{looks:?}");
        };
        check(&["r++", "r++"], Judged::Done(Verdict::Pass), Verdict::Pass);
        check(&["r++", "r~~"], Judged::Wait, Verdict::NoData);
        check(&["r++", "r+-++"], Judged::Done(Verdict::Warn), Verdict::Warn);
        check(&["r~~", "r---"], Judged::Done(Verdict::Fail), Verdict::Fail);
        check(&["r???", "r---"], Judged::Done(Verdict::Fail), Verdict::Fail);
        check(&["r++", "r???"], Judged::Done(Verdict::Error), Verdict::Error);
        check(&[], Judged::Wait, Verdict::NoData);
    }

    #[test]
    fn an_optional_check_warns_and_an_observed_one_never_counts() {
        let check = |looks: &[&str], judged: Judged<Verdict>, concluded: Verdict| {
            let checks = checks(looks);
            let pairs = || checks.iter().map(|(check, tally)| (check, tally));
            assert_eq!((judge_all(pairs()), conclude_all(pairs())), (judged, concluded), "{looks:?}");
        };
        check(&["r++", "a---"], Judged::Done(Verdict::Warn), Verdict::Warn);
        check(&["r++", "a~~"], Judged::Wait, Verdict::Warn);
        check(&["r++", "a???"], Judged::Done(Verdict::Warn), Verdict::Warn);
        check(&["r+", "a---"], Judged::Wait, Verdict::NoData);
        check(&["r++", "o---"], Judged::Done(Verdict::Pass), Verdict::Pass);
        check(&["r++", "o~"], Judged::Done(Verdict::Pass), Verdict::Pass);
        check(&["o++"], Judged::Wait, Verdict::NoData);
    }

    #[test]
    fn the_order_of_gravity_is_fixed() {
        use Verdict::{Error, Fail, NoData, Pass, Warn};
        assert!(Fail > Error && Error > NoData && NoData > Warn && Warn > Pass);
    }
}
