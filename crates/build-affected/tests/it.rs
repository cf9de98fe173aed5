//! What a change reaches, as a team would see it, in repositories that git itself made.

mod building;
mod comparing;
mod refusals;
mod shop;
