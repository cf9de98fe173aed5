//! The GitHub Actions runner that this process is a step of: what it tells us (environment), and what it reads from us
//! (workflow commands on standard output, and files).
//!
//! This is the only home of `std::env` and of standard output.
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>

mod command;
mod environment;
mod event;
mod file;

use std::fmt::Write as _;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

pub(crate) use command::token as unique;
pub use command::{Annotation, Level};
pub use environment::Environment;
pub use event::Event;

use crate::failure::Failure;
use crate::names::Secret;

/// The most that GitHub keeps of a step's summary: 1 MiB. A larger one is not shown at all.
const SUMMARY_LIMIT: usize = 1024 * 1024;

/// The name that this process was started by, without its folder.
#[expect(clippy::disallowed_methods, reason = "the one home of the process's arguments")]
pub fn program_name() -> Option<String> {
    let path = std::env::args_os().next()?;
    Some(std::path::Path::new(&path).file_name()?.to_string_lossy().into_owned())
}

/// The runner, as this process sees it.
pub struct Runner {
    environment: Environment,
    out: Mutex<Box<dyn Write + Send>>,
}

impl Runner {
    /// The runner that started this process.
    pub fn of_process() -> Self {
        Self::new(Environment::of_process(), Box::new(std::io::stdout()))
    }

    /// A runner that told us `environment` and reads workflow commands from `out`.
    pub fn new(environment: Environment, out: Box<dyn Write + Send>) -> Self {
        Self { environment, out: Mutex::new(out) }
    }

    /// What the runner told us.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Prints text for whoever reads the log. Text of foreign origin may be in it: what the runner would take for a
    /// command is defused.
    pub fn say(&self, text: impl AsRef<str>) {
        let mut printed = String::new();
        for line in text.as_ref().lines() {
            // `##[command]` is obeyed anywhere in a line, `::command::` at its start (actions/runner, ActionCommand.cs).
            if line.contains("##[") || line.trim_start().starts_with("::") {
                let token = command::token();
                let _ = writeln!(printed, "::stop-commands::{token}\n{line}\n::{token}::");
            } else {
                let _ = writeln!(printed, "{line}");
            }
        }
        self.print(&printed);
    }

    /// Prints text under a heading that a reader can fold away.
    pub fn group(&self, title: &str, text: impl AsRef<str>) {
        self.print(&format!("::group::{}\n", command::escape_data(title)));
        self.say(text);
        self.print("::endgroup::\n");
    }

    /// Puts all that is said while this work goes on under a heading that a reader can fold away.
    pub async fn grouped<T>(&self, title: &str, work: impl Future<Output = T>) -> T {
        self.print(&format!("::group::{}\n", command::escape_data(title)));
        let done = work.await;
        self.print("::endgroup::\n");
        done
    }

    /// Shows one line beside the run, above the log.
    pub fn annotate(&self, annotation: &Annotation<'_>) {
        self.print(&format!("{annotation}\n"));
    }

    /// Has the runner replace a value by `***` in everything that follows, line by line.
    pub fn mask(&self, secret: &Secret) {
        for line in secret.expose().lines().filter(|line| !line.trim().is_empty()) {
            self.print(&format!("::add-mask::{}\n", command::escape_data(line)));
        }
    }

    /// Writes an output of this step. A later value of the same name replaces an earlier one.
    pub fn output(&self, name: &str, value: &str) -> Result<(), Failure> {
        file::append_entry(self.environment.get("GITHUB_OUTPUT"), name, value)
    }

    /// Keeps a value for this action's `post-entrypoint`.
    pub fn state(&self, name: &str, value: &str) -> Result<(), Failure> {
        file::append_entry(self.environment.get("GITHUB_STATE"), name, value)
    }

    /// A value that the main step kept: this is its `post-entrypoint`.
    pub fn saved(&self, name: &str) -> Option<&str> {
        self.environment.get(&format!("STATE_{name}"))
    }

    /// Adds Markdown to the job's summary, within GitHub's limit.
    pub fn summary(&self, markdown: &str) -> Result<(), Failure> {
        let cut = "\n\n*The rest is left out: GitHub shows at most 1 MiB of a summary. The step's log has it all.*\n";
        let text = match markdown.len() {
            length if length <= SUMMARY_LIMIT => markdown.to_owned(),
            _ => {
                let mut end = SUMMARY_LIMIT - cut.len();
                while !markdown.is_char_boundary(end) {
                    end -= 1;
                }
                format!("{}{cut}", &markdown[..end])
            }
        };
        file::append(self.environment.get("GITHUB_STEP_SUMMARY"), &text)
    }

    fn print(&self, text: &str) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // A closed standard output means that nobody reads any more: there is nobody to tell.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn printed(speak: impl FnOnce(&Runner)) -> String {
        let page = Page::default();
        speak(&Runner::new(Environment::from_iter::<[(&str, &str); 0]>([]), Box::new(page.clone())));
        let bytes = page.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_command_in_foreign_text_is_defused() {
        for line in ["::set-output name=a::b", "  ::error::no", "ok ##[error]no"] {
            let text = printed(|runner| runner.say(line));
            let lines: Vec<&str> = text.lines().collect();
            let token = lines[0].strip_prefix("::stop-commands::").unwrap();
            assert_eq!(lines, [format!("::stop-commands::{token}").as_str(), line, &format!("::{token}::")]);
        }
        assert_eq!(printed(|runner| runner.say("a::b\n[ok]")), "a::b\n[ok]\n");
    }

    #[test]
    fn a_mask_covers_every_line_of_a_secret() {
        assert_eq!(printed(|runner| runner.mask(&Secret::new("a%\n\nb"))), "::add-mask::a%25\n::add-mask::b\n");
    }
}
