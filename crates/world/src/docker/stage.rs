//! One stage of a build, as its instructions change it.

use std::collections::BTreeMap;
use std::io;

use serde_json::{Value, json};

use super::dockerfile::Instruction;
use super::files::{Entry, Files, Kind, normal};
use super::images::{Image, Layer};
use super::words::{command, pairs, words};

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A stage under construction.
#[derive(Clone, Debug, Default)]
pub(super) struct Stage {
    /// The image's `config`.
    pub(super) config: Value,
    /// The layers of the image that it began with.
    pub(super) layers: Vec<Layer>,
    /// All files that can be seen.
    pub(super) files: Files,
    /// The files of this build's own layer.
    pub(super) added: Files,
    /// The history, oldest first: what was done, and whether it brought files.
    pub(super) history: Vec<(String, bool)>,
    /// Whether there are files that this world does not know: of an image from elsewhere, or made by a command.
    pub(super) is_open: bool,
    /// The values of the `ARG`s that were declared.
    pub(super) arguments: BTreeMap<String, String>,
    has_command: bool,
}

/// Files to be copied: what, from where, and whether a missing one may be among those that this world does not know.
pub(super) struct Sources<'a> {
    pub(super) files: &'a Files,
    pub(super) are_open: bool,
}

impl Stage {
    /// A stage that begins with nothing.
    pub(super) fn scratch() -> Self {
        Self { config: json!({ "Env": [PATH] }), ..Self::default() }
    }

    /// A stage that begins with an image from elsewhere, of which nothing is known.
    pub(super) fn unknown() -> Self {
        Self { is_open: true, ..Self::scratch() }
    }

    /// A stage that begins with an image.
    pub(super) fn of(image: &Image) -> io::Result<Self> {
        let mut files = Files::default();
        for layer in &image.layers {
            files.overlay(&Files::read(&layer.tar)?);
        }
        Ok(Self { config: image.parse()["config"].clone(), layers: image.layers.clone(), files, ..Self::default() })
    }

    /// A stage that begins where this one ended.
    pub(super) fn next(&self) -> Self {
        Self { arguments: BTreeMap::new(), has_command: false, ..self.clone() }
    }

    /// A variable's value: of the environment, else of an `ARG`.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        let environment = self.config["Env"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let mut named = environment.filter_map(|pair| pair.split_once('=')).filter(|(key, _)| *key == name);
        named.next_back().map(|(_, value)| value.to_owned()).or_else(|| self.arguments.get(name).cloned())
    }

    /// Carries out an instruction that needs nothing but the stage.
    pub(super) fn apply(&mut self, instruction: &Instruction) -> Result<(), String> {
        let text = instruction.arguments.as_str();
        let expanded = || words(text, &|name| self.variable(name)).map_err(|error| instruction.error(&error));
        match instruction.keyword.as_str() {
            "ENV" => {
                for (name, value) in
                    pairs(text, &|name| self.variable(name)).map_err(|error| instruction.error(&error))?
                {
                    self.set_variable(&name, &value);
                }
            }
            "LABEL" => {
                for (name, value) in
                    pairs(text, &|name| self.variable(name)).map_err(|error| instruction.error(&error))?
                {
                    self.config["Labels"][name] = json!(value);
                }
            }
            "USER" => self.config["User"] = json!(expanded()?.join(" ")),
            "WORKDIR" => {
                let folder = self.absolute(&expanded()?.join(" "));
                self.config["WorkingDir"] = json!(format!("/{folder}"));
                self.add(&folder, Entry::folder());
            }
            "EXPOSE" => {
                for port in expanded()? {
                    let port = if port.contains('/') { port } else { format!("{port}/tcp") };
                    self.config["ExposedPorts"][port] = json!({});
                }
            }
            "VOLUME" => {
                let volumes = serde_json::from_str(text).map_or_else(|_| expanded(), Ok)?;
                volumes.into_iter().for_each(|volume: String| self.config["Volumes"][volume] = json!({}));
            }
            "STOPSIGNAL" => self.config["StopSignal"] = json!(expanded()?.join(" ")),
            "SHELL" => self.config["Shell"] = json!(command(text)),
            "CMD" => {
                self.config["Cmd"] = json!(command(text));
                self.has_command = true;
            }
            "ENTRYPOINT" => {
                self.config["Entrypoint"] = json!(command(text));
                if let (false, Some(config)) = (self.has_command, self.config.as_object_mut()) {
                    // An image's own command was meant for its own entry point.
                    config.shift_remove("Cmd");
                }
            }
            "HEALTHCHECK" => self.config["Healthcheck"] = healthcheck(instruction)?,
            // What a command would do is not known: it is noted, and its files may be anywhere.
            "RUN" => self.is_open = true,
            _ => {}
        }
        self.history.push((instruction.text(), false));
        Ok(())
    }

    /// Carries out `COPY` or `ADD`.
    pub(super) fn copy(&mut self, instruction: &Instruction, from: Sources<'_>) -> Result<(), String> {
        let arguments = match serde_json::from_str::<Vec<String>>(&instruction.arguments) {
            Ok(arguments) => arguments,
            Err(_) => {
                words(&instruction.arguments, &|name| self.variable(name)).map_err(|error| instruction.error(&error))?
            }
        };
        let Some((destination, sources)) = arguments.split_last().filter(|(_, sources)| !sources.is_empty()) else {
            return Err(instruction.error(&format!("{} requires at least two arguments", instruction.keyword)));
        };
        let mut found = Vec::new();
        for source in sources.iter().filter(|source| !source.starts_with("<<")) {
            let is_remote = instruction.keyword == "ADD" && (source.contains("://") || source.starts_with("git@"));
            match from.files.matching(source) {
                _ if is_remote => self.is_open = true,
                matching if matching.is_empty() && !from.are_open => return Err(not_found(source)),
                matching if matching.is_empty() => self.is_open = true,
                matching => found.extend(matching),
            }
        }
        let folder = self.absolute(destination);
        let is_into = destination.ends_with(['/', '.'])
            || found.len() + instruction.documents.len() > 1
            || self.files.is_folder(&folder);
        for source in &found {
            for (path, entry) in self.contents(instruction, from.files, source)? {
                let name = source.rsplit('/').next().unwrap_or(source);
                let name = if path.is_empty() && is_into { name } else { path.as_str() };
                self.add(&format!("{folder}/{name}"), owned(entry, instruction));
            }
            if from.files.is_folder(source) {
                self.add(&folder, owned(Entry::folder(), instruction));
            }
        }
        for (name, content) in &instruction.documents {
            let path = if is_into { format!("{folder}/{name}") } else { folder.clone() };
            self.add(&path, owned(Entry::file(content.clone()), instruction));
        }
        self.history.push((instruction.text(), true));
        Ok(())
    }

    /// What a source brings. `ADD` unpacks an archive.
    fn contents(&self, instruction: &Instruction, files: &Files, source: &str) -> Result<Vec<(String, Entry)>, String> {
        let is_archive = [".tar", ".tar.gz", ".tgz"].iter().any(|end| source.ends_with(end));
        if let Some(archive) = files.content(source).filter(|_| is_archive && instruction.keyword == "ADD") {
            let unpacked = Files::read(archive).map_err(|error| format!("failed to unpack {source}: {error}"))?;
            return Ok(unpacked.under(""));
        }
        Ok(files.under(source))
    }

    fn add(&mut self, path: &str, entry: Entry) {
        let path = normal(path);
        // A folder that is there stays as it is, the root among them.
        if entry.kind == Kind::Folder && self.files.is_folder(&path) {
            return;
        }
        self.files.insert(&path, entry.clone());
        self.added.insert(&path, entry);
    }

    fn set_variable(&mut self, name: &str, value: &str) {
        let pair = json!(format!("{name}={value}"));
        let is_same = |other: &Value| other.as_str().is_some_and(|other| other.split('=').next() == Some(name));
        match self.config["Env"].as_array_mut() {
            Some(pairs) => match pairs.iter_mut().find(|other| is_same(other)) {
                Some(other) => *other = pair,
                None => pairs.push(pair),
            },
            None => self.config["Env"] = json!([pair]),
        }
    }

    fn absolute(&self, path: &str) -> String {
        if path.starts_with('/') {
            return normal(path);
        }
        normal(&format!("{}/{path}", self.config["WorkingDir"].as_str().unwrap_or_default()))
    }
}

fn owned(mut entry: Entry, instruction: &Instruction) -> Entry {
    let number = |text: Option<&str>| text.and_then(|text| text.parse().ok());
    if let Some(owner) = instruction.flag("chown") {
        let mut parts = owner.split(':');
        let user = number(parts.next()).unwrap_or(0);
        entry.owner = (user, number(parts.next()).unwrap_or(user));
    }
    if let Some(mode) = instruction.flag("chmod").and_then(|mode| u32::from_str_radix(mode, 8).ok()) {
        entry.mode = mode;
    }
    entry
}

fn not_found(source: &str) -> String {
    let checksum = "failed to compute cache key: failed to calculate checksum of ref world";
    format!("{checksum}: \"/{}\": not found", normal(source))
}

fn healthcheck(instruction: &Instruction) -> Result<Value, String> {
    let (kind, rest) = instruction.arguments.split_once(char::is_whitespace).unwrap_or((&instruction.arguments, ""));
    let test = match kind.to_ascii_uppercase().as_str() {
        "NONE" => vec!["NONE".to_owned()],
        "CMD" => match serde_json::from_str::<Vec<String>>(rest.trim()) {
            Ok(command) => std::iter::once("CMD".to_owned()).chain(command).collect(),
            Err(_) => vec!["CMD-SHELL".to_owned(), rest.trim().to_owned()],
        },
        _ => return Err(instruction.error(&format!("Unknown type \"{kind}\" in HEALTHCHECK (try CMD)"))),
    };
    let mut check = json!({ "Test": test });
    let flags = [
        ("interval", "Interval"),
        ("timeout", "Timeout"),
        ("start-period", "StartPeriod"),
        ("start-interval", "StartInterval"),
    ];
    for (flag, member) in flags {
        if let Some(text) = instruction.flag(flag) {
            let duration =
                nanoseconds(text).ok_or_else(|| instruction.error(&format!("time: invalid duration \"{text}\"")))?;
            check[member] = json!(duration);
        }
    }
    if let Some(retries) = instruction.flag("retries") {
        check["Retries"] = json!(retries.parse::<u32>().map_err(|error| instruction.error(&error.to_string()))?);
    }
    Ok(check)
}

/// A duration as Go writes it, `1m30s`.
fn nanoseconds(text: &str) -> Option<u64> {
    let mut total = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, tail) = rest.split_at(rest.find(|letter: char| !letter.is_ascii_digit())?);
        let (unit, tail) = tail.split_at(tail.find(|letter: char| letter.is_ascii_digit()).unwrap_or(tail.len()));
        let scale = match unit {
            "h" => 3_600_000_000_000,
            "m" => 60_000_000_000,
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            _ => return None,
        };
        total += number.parse::<u64>().ok()? * scale;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        for (text, expected) in
            [("30s", Some(30_000_000_000)), ("1m500ms", Some(60_500_000_000)), ("5", None), ("", None), ("x", None)]
        {
            assert_eq!(nanoseconds(text), expected, "{text}");
        }
    }
}
