//! How an entry is written: compact JSON, in as many parameters as it takes.
//!
//! Members have one letter, so that twenty services fit a standard parameter (4 KB); a parameter holds 8 KB at most
//! (<https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html>).

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{Entry, Placed};
use crate::failure::Failure;
use crate::names::{CommitSha, Digest, ServiceKey};

/// The most that a parameter holds.
const LIMIT: usize = 8192;

/// The form that this program writes. Members that it does not know are ignored; a higher number is another form.
const FORM: u64 = 1;

/// What a parameter holds: an entry, or one part of it.
#[derive(Clone, Debug)]
pub(super) struct Page {
    /// The entry, with the services of this part alone.
    pub(super) entry: Entry,
    /// Which part this is, from 1.
    pub(super) part: usize,
    /// How many there are.
    pub(super) parts: usize,
}

/// Why a value is no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Foreign {
    /// It is something else.
    Other,
    /// A later version of this program wrote it.
    Newer(u64),
}

#[derive(Deserialize, Serialize)]
struct Text {
    #[serde(rename = "v")]
    form: u64,
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    part: Option<(usize, usize)>,
    #[serde(rename = "r")]
    release: u64,
    #[serde(rename = "o")]
    operation: String,
    #[serde(rename = "s")]
    outcome: String,
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    commit: Option<CommitSha>,
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    run: Option<String>,
    #[serde(rename = "a")]
    at: String,
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    restores: Option<u64>,
    #[serde(rename = "p")]
    services: BTreeMap<ServiceKey, PlacedText>,
}

#[derive(Deserialize, Serialize)]
struct PlacedText {
    #[serde(rename = "t")]
    task_definition: String,
    /// The digest's digits.
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    /// Left out where it is the release's; `null` where it is not known.
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none", deserialize_with = "told")]
    commit: Option<Option<CommitSha>>,
}

/// Tells `null` from a member that is left out.
fn told<'a, D: Deserializer<'a>>(deserializer: D) -> Result<Option<Option<CommitSha>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// The parameter of a part: `…/release`, `…/release-2`, …
pub(super) fn path(first: &str, part: usize) -> String {
    if part == 1 { first.to_owned() } else { format!("{first}-{part}") }
}

/// An entry as the values of its parameters: as few as will do.
pub(super) fn pages(entry: &Entry) -> Result<Vec<String>, Failure> {
    for parts in 1..=entry.services.len().max(1) {
        let size = entry.services.len().div_ceil(parts).max(1);
        let services: Vec<_> = entry.services.iter().collect();
        let mut chunks: Vec<&[_]> = services.chunks(size).collect();
        // An entry without services has one page as well.
        chunks.resize(chunks.len().max(1), &[]);
        let count = chunks.len();
        let page = |(index, chunk): (usize, &&[(&ServiceKey, &Placed)])| write(entry, chunk, (index + 1, count));
        let pages = chunks.iter().enumerate().map(page).collect::<Result<Vec<_>, _>>()?;
        if pages.iter().all(|page| page.len() <= LIMIT) {
            return Ok(pages);
        }
    }
    Err(Failure::bug(format!("release {} does not fit the ledger", entry.release)))
}

fn write(entry: &Entry, services: &[(&ServiceKey, &Placed)], part: (usize, usize)) -> Result<String, Failure> {
    let placed = |(key, placed): &(&ServiceKey, &Placed)| {
        let text = PlacedText {
            task_definition: placed.task_definition.clone(),
            image: placed.image.as_ref().map(|image| image.as_str().trim_start_matches("sha256:").to_owned()),
            commit: (placed.commit != entry.commit).then(|| placed.commit.clone()),
        };
        ((*key).clone(), text)
    };
    let text = Text {
        form: FORM,
        part: (part.1 > 1).then_some(part),
        release: entry.release,
        operation: entry.operation.clone(),
        outcome: entry.outcome.clone(),
        commit: entry.commit.clone(),
        by: entry.by.clone(),
        run: entry.run.clone(),
        at: entry.at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        restores: entry.restores,
        services: services.iter().map(placed).collect(),
    };
    serde_json::to_string(&text).map_err(Failure::bug)
}

impl Page {
    /// Reads a parameter's value.
    pub(super) fn read(value: &str) -> Result<Self, Foreign> {
        let value: Value = serde_json::from_str(value).map_err(|_| Foreign::Other)?;
        match value["v"].as_u64() {
            Some(FORM) => {}
            Some(form) if form > FORM => return Err(Foreign::Newer(form)),
            _ => return Err(Foreign::Other),
        }
        serde_json::from_value::<Text>(value).ok().and_then(Self::of).ok_or(Foreign::Other)
    }

    fn of(text: Text) -> Option<Self> {
        let Text { form: _, part, release, operation, outcome, commit, by, run, at, restores, services } = text;
        let placed = |(key, placed): (ServiceKey, PlacedText)| {
            let image = placed.image.map(|digits| format!("sha256:{digits}").parse::<Digest>()).transpose().ok()?;
            let commit = placed.commit.unwrap_or_else(|| commit.clone());
            Some((key, Placed { task_definition: placed.task_definition, image, commit }))
        };
        let services = services.into_iter().map(placed).collect::<Option<_>>()?;
        let (part, parts) = part.unwrap_or((1, 1));
        let at = at.parse().ok()?;
        let entry = Entry { release, operation, outcome, commit, by, run, at, restores, services };
        Some(Self { entry, part, parts })
    }

    /// The whole entry of this first page, with the pages of the other parameters.
    pub(super) fn join(mut self, others: &[Self], first: &str) -> Result<Entry, Failure> {
        for part in 2..=self.parts {
            let Some(other) = others.iter().find(|other| other.part == part && other.is_of(&self)) else {
                let path = path(first, part);
                return Err(Failure::remote(format!(
                    "part {part} of {} of release {} is missing: `{path}` does not hold it",
                    self.parts, self.entry.release
                ))
                .context("read the release ledger")
                .hint(format!("compare `aws ssm get-parameter-history --name {path}` with that of `{first}`")));
            };
            self.entry.services.extend(other.entry.services.clone());
        }
        Ok(self.entry)
    }

    /// Whether both are parts of one entry, as it was written at one time.
    fn is_of(&self, first: &Self) -> bool {
        let without_services = |entry: &Entry| Entry { services: BTreeMap::new(), ..entry.clone() };
        self.parts == first.parts && without_services(&self.entry) == without_services(&first.entry)
    }
}

impl Foreign {
    pub(super) fn failure(self, path: &str) -> Failure {
        // The value is not shown: whatever it is, it is not ours.
        let failure = match self {
            Self::Other => Failure::input(format!("`{path}` holds something else than a release ledger"))
                .hint("move that parameter elsewhere: this path belongs to the ledger of the delivery file's `name`"),
            Self::Newer(form) => {
                Failure::input(format!("`{path}` is written in form {form}, and this version reads form {FORM}"))
                    .hint("use one version of the actions for all deliveries to this environment")
            }
        };
        failure.context("read the release ledger")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sha(digit: char) -> CommitSha {
        digit.to_string().repeat(40).parse().unwrap()
    }

    /// An entry of services with ordinary names, each with the release's commit but the first, whose is unknown, and the
    /// second, which has its own.
    fn entry(services: usize) -> Entry {
        let names = ["auth", "catalog", "web", "notifications", "payment-gateway"];
        let placed = (0..services).map(|number| {
            let key = format!("{}-{}", names[number % names.len()], number / names.len());
            let image = format!("sha256:{number:064x}").parse().unwrap();
            let commit = [None, Some(sha('b'))].get(number).cloned().unwrap_or(Some(sha('a')));
            let task_definition = format!("shop-production-{key}:{}", 1000 + number);
            (key.parse().unwrap(), Placed { task_definition, image: Some(image), commit })
        });
        Entry {
            release: 128,
            operation: "deploy".to_owned(),
            outcome: "deployed".to_owned(),
            commit: Some(sha('a')),
            by: Some("octocat".to_owned()),
            run: Some("https://github.com/organisation/monorepo/actions/runs/12345678901/attempts/1".to_owned()),
            at: "2026-01-05T09:00:00Z".parse().unwrap(),
            restores: Some(127),
            services: placed.collect(),
        }
    }

    fn read(pages: &[String]) -> Entry {
        let mut pages = pages.iter().map(|page| Page::read(page).unwrap());
        let first = pages.next().unwrap();
        first.join(&pages.collect::<Vec<_>>(), "/release").unwrap()
    }

    #[test]
    fn what_is_written_is_read_again() {
        for services in [0, 1, 2, 20, 60, 200] {
            assert_eq!(read(&pages(&entry(services)).unwrap()), entry(services), "{services}");
        }
        let bare = Entry { commit: None, by: None, run: None, restores: None, ..entry(3) };
        assert_eq!(read(&pages(&bare).unwrap()), bare);
    }

    #[test]
    fn twenty_services_fit_a_standard_parameter_and_more_are_split() {
        let lengths = |services| pages(&entry(services)).unwrap().iter().map(String::len).collect::<Vec<_>>();
        let twenty = lengths(20);
        assert!(twenty.len() == 1 && twenty[0] <= 4096, "{twenty:?}");
        let hundred = lengths(100);
        assert!(hundred.len() == 2 && hundred.iter().all(|length| *length <= LIMIT), "{hundred:?}");
    }

    #[test]
    fn a_part_of_another_time_is_not_this_ones() {
        let pages = pages(&entry(100)).unwrap();
        let earlier = super::pages(&Entry { outcome: "deploying".to_owned(), ..entry(100) }).unwrap();
        let first = Page::read(&pages[0]).unwrap();
        let others = [Page::read(&earlier[1]).unwrap()];
        let failure = first.join(&others, "/delivery/shop/production/release").unwrap_err().to_string();
        assert!(
            failure.contains("part 2 of 2 of release 128 is missing: `/delivery/shop/production/release-2`"),
            "{failure}"
        );
    }

    #[test]
    fn what_is_not_ours_is_said_to_be_so() {
        let later = pages(&entry(1)).unwrap()[0].replace("\"v\":1", "\"v\":2");
        for (value, expected) in [
            ("hunter2", Some(Foreign::Other)),
            ("{}", Some(Foreign::Other)),
            (r#"{"v":1,"release":"one"}"#, Some(Foreign::Other)),
            (&later, Some(Foreign::Newer(2))),
            (&pages(&entry(1)).unwrap()[0].replace("\"v\":1", "\"v\":1,\"later\":[1]"), None),
        ] {
            assert_eq!(Page::read(value).err(), expected, "{value}");
        }
        assert!(!Foreign::Other.failure("/release").to_string().contains("hunter2"));
    }
}
