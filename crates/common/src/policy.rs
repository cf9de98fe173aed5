//! What an image has to be before it is pushed: the delivery file's `[image-policy]`, held against one image. Pure.

use crate::delivery::ImagePolicy;
use crate::docker::LocalImage;
use crate::markdown;

/// A rule that an image does not keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule, as the delivery file calls it.
    pub rule: &'static str,
    /// What the image has instead.
    pub found: String,
    /// What would mend it.
    pub fix: String,
}

/// The rules that an image does not keep.
pub fn violations(image: &LocalImage, policy: &ImagePolicy) -> Vec<Violation> {
    let mut violations = Vec::new();
    if policy.require_non_root && is_root(&image.user) {
        let found =
            if image.user.is_empty() { "no USER, which is root".to_owned() } else { format!("USER {}", image.user) };
        let fix = "end the Dockerfile with a user of its own, as in USER 65532".to_owned();
        violations.push(Violation { rule: "require-non-root", found, fix });
    }
    if policy.require_healthcheck && !image.has_healthcheck {
        let fix = "add a HEALTHCHECK to the Dockerfile, as in HEALTHCHECK CMD [\"/app\", \"healthcheck\"]".to_owned();
        violations.push(Violation { rule: "require-healthcheck", found: "no HEALTHCHECK".to_owned(), fix });
    }
    if image.size > policy.max_size.bytes() {
        let fix = format!("copy less into the last stage, or raise max-size ({})", policy.max_size);
        violations.push(Violation { rule: "max-size", found: human(image.size), fix });
    }
    violations
}

/// What a reader is told of an image that does not keep the policy: why, and what would mend it.
pub fn explain(violations: &[Violation]) -> (String, String) {
    let found: Vec<&str> = violations.iter().map(|violation| violation.found.as_str()).collect();
    let fixes: Vec<&str> = violations.iter().map(|violation| violation.fix.as_str()).collect();
    (format!("the image does not keep the policy: {}", found.join(", ")), fixes.join("; "))
}

/// The same as a table.
pub fn table(violations: &[Violation]) -> String {
    let row = |violation: &Violation| {
        let Violation { rule, found, fix } = violation;
        vec![markdown::code(rule), markdown::escape(found), markdown::escape(fix)]
    };
    markdown::table(&["rule", "found", "what would mend it"], &violations.iter().map(row).collect::<Vec<_>>())
}

/// Whether a `USER` is root, by name or by number; a group may follow.
fn is_root(user: &str) -> bool {
    matches!(user.split(':').next().unwrap_or_default(), "" | "root" | "0")
}

/// A number of bytes for people: `512 MB`.
pub fn human(bytes: u64) -> String {
    let (unit, factor) = match bytes {
        0..=999 => return format!("{bytes} B"),
        1_000..=999_999 => ("kB", 1e3),
        1_000_000..=999_999_999 => ("MB", 1e6),
        _ => ("GB", 1e9),
    };
    let number = bytes as f64 / factor;
    if number < 10.0 { format!("{number:.1} {unit}") } else { format!("{number:.0} {unit}") }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn image(user: &str, has_healthcheck: bool, size: u64) -> LocalImage {
        let id = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
        LocalImage { id, size, user: user.to_owned(), has_healthcheck, labels: BTreeMap::new() }
    }

    fn check(image: &LocalImage, rules: &[&str]) {
        let found: Vec<&str> =
            violations(image, &ImagePolicy::default()).iter().map(|violation| violation.rule).collect();
        assert_eq!(found, rules, "{image:?}");
    }

    #[test]
    fn an_image_keeps_the_rules_or_is_told_which_it_breaks() {
        check(&image("65532", true, 500_000_000), &[]);
        check(&image("app:app", true, 1), &[]);
        for root in ["", "root", "0", "0:0", "root:app"] {
            check(&image(root, true, 1), &["require-non-root"]);
        }
        check(&image("1", false, 1), &["require-healthcheck"]);
        check(&image("1", true, 500_000_001), &["max-size"]);
        check(&image("", false, 600_000_000), &["require-non-root", "require-healthcheck", "max-size"]);
    }

    #[test]
    fn a_rule_that_is_off_asks_for_nothing() {
        let policy = ImagePolicy { require_non_root: false, require_healthcheck: false, ..ImagePolicy::default() };
        assert_eq!(violations(&image("", false, 1), &policy), []);
    }

    #[test]
    fn sizes_read_well() {
        for (bytes, text) in [(7, "7 B"), (1_500, "1.5 kB"), (48_000_000, "48 MB"), (1_230_000_000, "1.2 GB")] {
            assert_eq!(human(bytes), text);
        }
    }
}
