//! Repositories whose right answer is known by construction, to hold build-affected and its peers against.
//!
//! An [`Estate`] is a monorepo in memory: services, libraries in layers, externals, Dockerfiles, root configuration. Files
//! and commits are *written from* it, and what a change reaches is *told from* it: the truth never reads a file, so it
//! cannot share a mistake with what is tested. Nothing here depends on any of the actions.
//!
//! ```no_run
//! use truth::{Answer, Estate, Shape, Tool, check};
//!
//! # fn main() -> anyhow::Result<()> {
//! let directory = tempfile::tempdir()?;
//! let repository = Estate::new(Shape::of(Tool::Nx, 200)).with_named().with_random(200).write(directory.path())?;
//! let score = check(&repository, |path, base, head| {
//!     repository.check_out(head)?; // only for a tool that reads the working tree
//!     Ok(Answer::default()) // what the tool says
//! });
//! assert_eq!((score.missed(), score.extra()), (0, 0), "{score}");
//! # Ok(())
//! # }
//! ```
//!
//! # What counts
//! An image is made of: its service's table in `delivery.toml`; its Dockerfile, and what that takes by name; the image of
//! another service that it starts from; what `depends-on` and `paths` name; each project that is reached by declared, imported
//! or implicit edges, with the files that reach an image, the part of the lockfile below it, and the `tsconfig` paths that
//! it uses; the compiler's options; the engine; `.npmrc`. Where one could argue (does a README count?), the estate's own
//! configuration decides: specs and docs are left out by Nx's `production`, Turborepo's `inputs` and `.dockerignore` alike.

mod check;
mod dice;
mod edit;
mod estate;
mod grow;
mod history;
mod model;
mod named;
pub mod peers;
mod random;
mod reach;
mod render;
mod shape;

pub use check::{Answer, Score, Verdict, check};
pub use estate::{Estate, Repository, Scenario};
pub use shape::{Shape, Tool};
