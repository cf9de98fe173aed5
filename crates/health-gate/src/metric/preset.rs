//! What most services are judged by, ready to be named.

use std::collections::BTreeMap;
use std::time::Duration;

use common::delivery::Side;

use super::{Metric, Rule, Source, statistic};

/// A metric that is known by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Preset {
    ResponseTime,
    ErrorRate,
    Errors,
    Cpu,
    Memory,
}

/// Every preset by its name.
pub(crate) const PRESETS: [(&str, Preset); 5] = [
    ("alb-response-time", Preset::ResponseTime),
    ("alb-error-rate", Preset::ErrorRate),
    ("alb-errors", Preset::Errors),
    ("ecs-cpu", Preset::Cpu),
    ("ecs-memory", Preset::Memory),
];

/// What a service's metrics are told from others by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Surroundings {
    pub(crate) cluster: String,
    pub(crate) service: String,
    /// `app/<name>/<id>` and `targetgroup/<name>/<id>`; `None` where no load balancer sends it requests.
    pub(crate) load_balancer: Option<(String, String)>,
}

impl Preset {
    /// The preset of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        PRESETS.into_iter().find_map(|(known, preset)| (known == name).then_some(preset))
    }

    /// How its points are judged, unless it is said otherwise.
    pub(crate) fn rule(self) -> Rule {
        let usual = Rule {
            warn: None,
            fail: None,
            bad: Side::Above,
            period: Duration::from_mins(1),
            points: 3,
            sustained: 2,
            minimum_samples: 0,
            missing: None,
            unit: "",
        };
        match self {
            // One slow request of three says nothing (percentiles, too, need samples: 10 / (1 - p) of them, by
            // https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/percentiles-with-low-samples.html).
            Self::ResponseTime => Rule { warn: Some(1.0), fail: Some(3.0), minimum_samples: 20, unit: " s", ..usual },
            Self::ErrorRate => Rule { warn: Some(1.0), fail: Some(5.0), minimum_samples: 20, unit: " %", ..usual },
            Self::Errors => {
                Rule { fail: Some(10.0), period: Duration::from_mins(5), points: 2, missing: Some(0.0), ..usual }
            }
            Self::Cpu | Self::Memory => Rule { warn: Some(70.0), fail: Some(90.0), unit: " %", ..usual },
        }
    }

    /// Where its points come from; `None` if it is about a load balancer and there is none.
    pub(crate) fn source(self, surroundings: &Surroundings) -> Option<Source> {
        let of_balancer = |metric: &str, of: &str| {
            let (balancer, group) = surroundings.load_balancer.clone()?;
            let dimensions = BTreeMap::from([("LoadBalancer".into(), balancer), ("TargetGroup".into(), group)]);
            Some(statistic("AWS/ApplicationELB", metric, of, &dimensions))
        };
        let of_service = |metric: &str| {
            let dimensions = BTreeMap::from([
                ("ClusterName".to_owned(), surroundings.cluster.clone()),
                ("ServiceName".to_owned(), surroundings.service.clone()),
            ]);
            Source::One(statistic("AWS/ECS", metric, "Average", &dimensions))
        };
        match self {
            Self::ResponseTime => Some(Source::Percentile {
                percentile: of_balancer("TargetResponseTime", "p95")?,
                average: of_balancer("TargetResponseTime", "Average")?,
                samples: of_balancer("RequestCount", "Sum")?,
            }),
            Self::ErrorRate => Some(Source::Percent {
                part: of_balancer("HTTPCode_Target_5XX_Count", "Sum")?,
                whole: of_balancer("RequestCount", "Sum")?,
            }),
            Self::Errors => of_balancer("HTTPCode_Target_5XX_Count", "Sum").map(Source::One),
            Self::Cpu => Some(of_service("CPUUtilization")),
            Self::Memory => Some(of_service("MemoryUtilization")),
        }
    }

    /// The metric under this name.
    pub(crate) fn metric(self, name: &str, rule: Rule, surroundings: &Surroundings) -> Option<Metric> {
        Some(Metric { name: name.to_owned(), source: self.source(surroundings)?, rule })
    }
}
