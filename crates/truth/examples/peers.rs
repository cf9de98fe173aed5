//! Asks Nx, Turborepo and pnpm every named scenario, and prints where they are wrong.
//!
//! `cargo run --release -p truth --example peers -- FOLDER_FOR_THE_TOOLS [PROJECTS [PEER…]]`
//!
//! In the background of a terminal, put `setsid` before it: Nx takes the terminal, and is stopped for that.

#![expect(clippy::print_stdout, reason = "a report for a person, on the terminal")]

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use truth::peers::{Peer, Peers, clean};
use truth::{Answer, Estate, Shape, Tool, check};

fn main() -> Result<()> {
    #[expect(clippy::disallowed_methods, reason = "not an action: it is told by arguments")]
    let mut arguments = std::env::args().skip(1);
    let tools = PathBuf::from(arguments.next().context("name a folder to install the tools into")?);
    let projects = arguments.next().map_or(Ok(200), |count| count.parse())?;
    let wanted: Vec<String> = arguments.collect();
    std::fs::create_dir_all(&tools)?;
    let peers = Peers::install(&tools)?;
    let directory = tempfile::tempdir()?;
    let repository = Estate::new(Shape::of(Tool::Nx, projects)).with_named().write(directory.path())?;
    for peer in Peer::ALL.into_iter().filter(|peer| wanted.is_empty() || wanted.contains(&format!("{peer:?}"))) {
        clean(&repository)?;
        let score = check(&repository, |_, _, head| {
            let scenario =
                repository.scenarios.iter().find(|scenario| scenario.head == head).context("no such head")?;
            // They answer for the tests' projects too, and none of them tells what is gone: services alone are compared.
            let answer = peers.answer(peer, &repository, scenario)?;
            Ok(Answer { removed: scenario.removed.clone(), projects: None, ..answer })
        });
        println!("{peer:?}\n{score}\n");
    }
    Ok(())
}
