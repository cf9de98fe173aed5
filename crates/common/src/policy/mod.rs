//! What an image has to be before it is pushed: the delivery file's `[image-policy]`, held against one image. Pure.

mod findings;
mod leaks;
mod scan_report;

use crate::delivery::ImagePolicy;
use crate::docker::{Examined, Layer};
use crate::markdown;

pub use findings::{Finding, Fix, Judgement, Package, by_package, judge};
pub use scan_report::{GivenReport, ScanReport, reports_of};

use findings::FINDING;
use leaks::leaks;

/// How many layers, and how many files of each, are told of an image that is too big.
const TOLD: usize = 3;

/// How many rules an annotation tells of.
const TOLD_AT_ONCE: usize = 6;

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

/// The rules that an image does not keep, all of them at once.
pub fn examine(examined: &Examined, policy: &ImagePolicy) -> Vec<Violation> {
    let Examined { image, history, contents } = examined;
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
        let layers = contents.as_ref().map(|contents| biggest(&contents.layers)).unwrap_or_default();
        violations.push(Violation { rule: "max-size", found: human(image.size) + &layers, fix });
    }
    for file in contents.iter().flat_map(|contents| &contents.missing) {
        let fix = "build it into the last stage, or take it from required-files".to_owned();
        violations.push(Violation { rule: "required-files", found: format!("no file {file}"), fix });
    }
    if policy.refuse_secrets {
        violations.extend(leaks(history.iter().map(String::as_str), &image.environment).into_iter().map(|leak| {
            let fix = "mount it while it is needed (RUN --mount=type=secret), give it to the task by `secrets`, and replace it: \
                       whoever has the image has it";
            Violation { rule: "refuse-secrets", found: format!("{} in {}", leak.kind, leak.place), fix: fix.to_owned() }
        }));
    }
    violations
}

/// Whether an image takes too much in the registry, where its size is this.
pub fn too_big_compressed(size: u64, policy: &ImagePolicy) -> Option<Violation> {
    let most = policy.max_compressed_size.filter(|most| size > most.bytes())?;
    let fix = format!("copy less into the last stage, or raise max-compressed-size ({most})");
    Some(Violation { rule: "max-compressed-size", found: format!("{} compressed", human(size)), fix })
}

/// The biggest layers, each with its biggest files: `; COPY . .: 400 MB (/app/data.bin 390 MB)`.
fn biggest(layers: &[Layer]) -> String {
    let mut layers: Vec<&Layer> = layers.iter().filter(|layer| layer.size > 0).collect();
    layers.sort_by_key(|layer| std::cmp::Reverse(layer.size));
    let layer = |layer: &&Layer| {
        let files: Vec<String> =
            layer.biggest.iter().take(TOLD).map(|(file, size)| format!("{file} {}", human(*size))).collect();
        format!("; {}: {} ({})", short(&layer.instruction), human(layer.size), files.join(", "))
    };
    layers.iter().take(TOLD).map(layer).collect()
}

/// An instruction that fits in a line.
fn short(instruction: &str) -> String {
    const MOST: usize = 60;
    let words = instruction.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}

/// What a reader is told of an image that does not keep the policy: why, and what would mend it. Of many rules the first few:
/// the table has them all.
pub fn explain(violations: &[Violation]) -> (String, String) {
    let more = match violations.len().saturating_sub(TOLD_AT_ONCE) {
        0 => String::new(),
        more => format!(", and {more} more (see the job's summary)"),
    };
    let told = || violations.iter().take(TOLD_AT_ONCE);
    let found: Vec<&str> = told().map(|violation| violation.found.as_str()).collect();
    let mut fixes: Vec<&str> = Vec::new();
    for Violation { fix, .. } in told() {
        if !fixes.contains(&fix.as_str()) {
            fixes.push(fix);
        }
    }
    if violations.iter().any(|violation| violation.rule == FINDING) {
        fixes.push("or let a finding through for a while by [[image-policy.exceptions]]");
    }
    (format!("the image does not keep the policy: {}{more}", found.join(", ")), fixes.join("; "))
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
    use crate::docker::{Contents, LocalImage};

    fn image(user: &str, has_healthcheck: bool, size: u64) -> LocalImage {
        let id = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
        LocalImage {
            id,
            size,
            platform: "linux/amd64".to_owned(),
            user: user.to_owned(),
            has_healthcheck,
            labels: BTreeMap::new(),
            environment: Vec::new(),
            layers: Vec::new(),
            created: None,
        }
    }

    fn check(image: &LocalImage, rules: &[&str]) {
        let examined = examined(image.clone(), &[], Contents::default());
        let violations = examine(&examined, &ImagePolicy::default());
        let found: Vec<&str> = violations.iter().map(|violation| violation.rule).collect();
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
        assert_eq!(examine(&examined(image("", false, 1), &[], Contents::default()), &policy), []);
    }

    #[test]
    fn the_size_in_the_registry_has_a_limit_of_its_own() {
        let policy = ImagePolicy { max_compressed_size: Some("1MB".parse().unwrap()), ..ImagePolicy::default() };
        assert_eq!(too_big_compressed(2_000_000, &policy).unwrap().found, "2.0 MB compressed");
        assert_eq!(too_big_compressed(1_000_000, &policy), None);
        assert_eq!(too_big_compressed(u64::MAX, &ImagePolicy::default()), None);
    }

    fn examined(image: LocalImage, history: &[&str], contents: Contents) -> Examined {
        let history = history.iter().map(|text| (*text).to_owned()).collect();
        Examined { image, history, contents: Some(contents) }
    }

    #[test]
    fn an_image_that_is_too_big_names_its_biggest_layers_and_files() {
        let layer = |instruction: &str, size, file: &str| Layer {
            instruction: instruction.to_owned(),
            size,
            biggest: vec![(file.to_owned(), size)],
        };
        let layers = vec![layer("COPY app /app", 2_000_000, "/app"), layer("RUN  npm \\\n ci", 598_000_000, "/x.node")];
        let image = examined(image("1", true, 600_000_000), &[], Contents { layers, missing: Vec::new() });
        let found = examine(&image, &ImagePolicy::default());
        assert_eq!(
            found[0].found,
            "600 MB; RUN npm \\ ci: 598 MB (/x.node 598 MB); COPY app /app: 2.0 MB (/app 2.0 MB)"
        );
    }

    #[test]
    fn what_is_missing_and_what_is_secret_is_told_at_once_and_no_value() {
        let mut image = image("1", true, 1);
        image.environment = vec!["DB_PASSWORD=hunter2".to_owned()];
        let contents = Contents { layers: Vec::new(), missing: vec!["remoteEntry.js".to_owned()] };
        let examined = examined(image, &["ARG NPM_TOKEN=abc"], contents);
        let found = examine(&examined, &ImagePolicy::default());
        let told: Vec<&str> = found.iter().map(|violation| violation.found.as_str()).collect();
        assert_eq!(
            told,
            [
                "no file remoteEntry.js",
                "a secret by its name in ENV DB_PASSWORD",
                "a secret by its name in ARG NPM_TOKEN"
            ]
        );
        let policy = ImagePolicy { refuse_secrets: false, ..ImagePolicy::default() };
        assert_eq!(examine(&examined, &policy).len(), 1);
        assert!(!format!("{found:?}").contains("hunter2"));
    }

    #[test]
    fn sizes_read_well() {
        for (bytes, text) in [(7, "7 B"), (1_500, "1.5 kB"), (48_000_000, "48 MB"), (1_230_000_000, "1.2 GB")] {
            assert_eq!(human(bytes), text);
        }
    }
}
