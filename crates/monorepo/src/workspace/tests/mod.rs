//! Rules, one by one: what a commit's files say, and what is read of them.

mod anything;
mod graph;
mod inputs;

const DB: &str = r#"{ "name": "@acme/db" }"#;
