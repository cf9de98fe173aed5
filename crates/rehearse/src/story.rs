//! The rehearsal as a person reads it.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use common::duration::human;
use serde_json::{Map, Value};

use crate::markdown::lay_out;
use crate::runner::Step;
use crate::scenes::Scene;

/// How wide the story is set.
const WIDTH: usize = 110;

/// Tells the rehearsal to standard output.
pub(crate) struct Story {
    out: std::io::Stdout,
    has_colour: bool,
}

impl Story {
    pub(crate) fn on_stdout() -> Self {
        let out = std::io::stdout();
        Self { has_colour: out.is_terminal(), out }
    }

    /// What is going to be played.
    pub(crate) fn opening(&mut self, scenes: &[Scene]) {
        self.line("");
        self.line(&self.bold("A rehearsal of a delivery to Amazon ECS"));
        self.line(
            "The five actions are real. AWS, GitHub and Docker are simulated on this machine: there is no account,",
        );
        self.line("and nothing leaves it.");
        self.line("");
        for (number, scene) in scenes.iter().enumerate() {
            self.line(&format!("  {}. {}", number + 1, scene.title));
        }
    }

    /// The beginning of a scene.
    pub(crate) fn scene(&mut self, number: usize, scene: &Scene, commit: &str) {
        self.line("");
        self.line(&self.dim(&"─".repeat(WIDTH)));
        self.line(&self.bold(&format!("{number}. {}", scene.title)));
        self.line(scene.told);
        self.line(&self.dim(&format!("commit {}", &commit[..commit.len().min(7)])));
        self.line("");
    }

    /// One step and what it said of itself.
    pub(crate) fn step(&mut self, step: &Step) {
        let sign = if step.exit_code == 0 { self.green("✓") } else { self.red("✗") };
        let said = if step.exit_code == 0 { detail(step) } else { step.cause() };
        let result = format!("{:<12}", step.output("result"));
        self.line(&format!(
            "  {sign} {:<15} {} {:>8}  {}",
            step.action,
            self.bold(&result),
            human(step.took),
            cut(&said)
        ));
    }

    /// A step's job summary, as the runner shows it below the job.
    pub(crate) fn summary(&mut self, step: &Step) {
        self.line("");
        self.line(&self.dim(&format!("  ┌ job summary of {}", step.action)));
        for line in lay_out(step.summary.trim_end()) {
            self.line(&format!("  {} {line}", self.dim("│")));
        }
        self.line(&self.dim("  └"));
    }

    /// What is true afterwards, and whether the actions said so.
    pub(crate) fn verdict(&mut self, lies: &[String], truth: &str, took: Duration) {
        self.line("");
        if lies.is_empty() {
            self.line(&format!("  {} {truth} ({})", self.green("TRUE"), human(took)));
        }
        for lie in lies {
            self.line(&format!("  {} {lie}", self.red("NOT TRUE")));
        }
    }

    /// Everything that a step printed, for whoever has to find out why it was wrong.
    pub(crate) fn log(&mut self, step: &Step) {
        self.line(&self.dim(&format!("  log of {}", step.action)));
        step.log.lines().for_each(|line| self.line(&format!("    {line}")));
    }

    /// The end.
    pub(crate) fn closing(&mut self, true_scenes: usize, total: usize, took: Duration) {
        self.line("");
        self.line(&self.dim(&"─".repeat(WIDTH)));
        let text = format!("{true_scenes} of {total} scenes ended as they truly should, in {}", human(took));
        let text = if true_scenes == total { self.green(&text) } else { self.red(&text) };
        self.line(&text);
    }

    /// The rehearsal itself could not go on.
    pub(crate) fn broken(&mut self, why: &str) {
        self.line(&format!("{} {why}", self.red("the rehearsal broke off:")));
    }

    fn line(&mut self, text: &str) {
        // Whoever closed the pipe does not want to read on.
        let _ = writeln!(self.out, "{text}");
    }

    fn bold(&self, text: &str) -> String {
        self.styled("1", text)
    }

    fn dim(&self, text: &str) -> String {
        self.styled("2", text)
    }

    fn green(&self, text: &str) -> String {
        self.styled("32", text)
    }

    fn red(&self, text: &str) -> String {
        self.styled("31", text)
    }

    fn styled(&self, code: &str, text: &str) -> String {
        if self.has_colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// What a good step did, in a few words: its own output, without JSON's marks.
fn detail(step: &Step) -> String {
    let output = match step.action {
        "build-affected" | "ecs-deploy" => step.output("services"),
        "health-gate" => step.output("verdicts"),
        "run-migration" => step.output("class"),
        _ => {
            let images: Map<String, Value> = serde_json::from_str(step.output("images")).unwrap_or_default();
            return images.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        }
    };
    output.replace(['{', '}', '[', ']', '"'], "").replace(',', ", ").replace(':', " ")
}

fn cut(text: &str) -> String {
    const MOST: usize = WIDTH - 44;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    text.chars().take(MOST - 1).collect::<String>() + "…"
}
