//! Pushes as a team would see them, between a simulated engine and a simulated registry.

mod pushes;
mod refusals;
mod shop;
