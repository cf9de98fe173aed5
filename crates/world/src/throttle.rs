//! How often ECS may be asked: a token bucket for each category of its API, on the world's clock.
//!
//! <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html>

use std::collections::BTreeMap;

use jiff::Timestamp;

/// Calls that share a bucket: how many it holds, and how many it gets a second.
struct Category {
    calls: &'static [&'static str],
    burst: f64,
    sustained: f64,
}

const CATEGORIES: [Category; 9] = [
    Category { calls: &["RegisterTaskDefinition", "DeregisterTaskDefinition"], burst: 20.0, sustained: 1.0 },
    Category { calls: &["DescribeTaskDefinition", "ListTaskDefinitions"], burst: 50.0, sustained: 20.0 },
    Category { calls: &["CreateService", "UpdateService", "DeleteService"], burst: 50.0, sustained: 5.0 },
    Category { calls: &["DescribeServices", "ListServices"], burst: 100.0, sustained: 20.0 },
    Category { calls: &["DescribeServiceDeployments", "ListServiceDeployments"], burst: 50.0, sustained: 20.0 },
    Category { calls: &["DescribeServiceRevisions"], burst: 50.0, sustained: 20.0 },
    Category { calls: &["DescribeTasks", "ListTasks"], burst: 100.0, sustained: 20.0 },
    Category { calls: &["RunTask", "StopTask"], burst: 100.0, sustained: 40.0 },
    Category { calls: &["TagResource"], burst: 20.0, sustained: 10.0 },
];

/// What is left in the buckets, by the place of their category, and when it was counted. One that was never used is full.
#[derive(Debug, Default)]
pub(crate) struct Throttle(BTreeMap<usize, (f64, Timestamp)>);

impl Throttle {
    /// Takes a token for a call (`ecs:UpdateService`). Whether there was one.
    pub(crate) fn admits(&mut self, call: &str, now: Timestamp) -> bool {
        let Some(operation) = call.strip_prefix("ecs:") else { return true };
        let Some(place) = CATEGORIES.iter().position(|category| category.calls.contains(&operation)) else {
            return true;
        };
        let category = &CATEGORIES[place];
        let (left, counted_at) = self.0.entry(place).or_insert((category.burst, now));
        *left = (*left + now.duration_since(*counted_at).as_secs_f64() * category.sustained).min(category.burst);
        *counted_at = now;
        let admits = *left >= 1.0;
        if admits {
            *left -= 1.0;
        }
        admits
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_is_admitted_and_then_so_many_a_second() {
        let now = Timestamp::UNIX_EPOCH;
        let mut throttle = Throttle::default();
        let mut admitted = |call: &str, now: Timestamp| (0..100).filter(|_| throttle.admits(call, now)).count();
        assert_eq!(admitted("ecs:RegisterTaskDefinition", now), 20);
        assert_eq!(admitted("ecs:DeregisterTaskDefinition", now), 0, "they share a bucket");
        assert_eq!(admitted("ecs:UpdateService", now), 50);
        assert_eq!(admitted("ecs:RegisterTaskDefinition", now + Duration::from_millis(900)), 0);
        assert_eq!(admitted("ecs:RegisterTaskDefinition", now + Duration::from_secs(3)), 3);
        assert_eq!(admitted("ecs:UpdateService", now + Duration::from_secs(3600)), 50, "a bucket is full at its brim");
        assert_eq!(admitted("ssm:GetParameter", now), 100);
    }
}
