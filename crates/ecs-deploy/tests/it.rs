//! Deployments as a team would see them, on a simulated world with time paused.

mod deployments;
mod refusals;
mod shop;
