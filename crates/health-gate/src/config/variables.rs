//! `${VARIABLE}`s, and URLs with them.

use std::collections::BTreeMap;

use common::delivery::{Template, interpolate};
use common::failure::Failure;
use http::Uri;

/// What `${NAME}` stands for.
pub(super) struct Variables(pub(super) BTreeMap<String, String>);

impl Variables {
    pub(super) fn fill(&self, text: &str) -> Result<String, Failure> {
        interpolate(text, |name| self.0.get(name).cloned()).map_err(|unknown| {
            let known: Vec<&str> = self.0.keys().map(String::as_str).collect();
            Failure::input(format!("unknown variable `${{{}}}`", unknown.name))
                .hint(format!("add it to the environment's `variables`; known are `{}`", known.join("`, `")))
        })
    }

    pub(super) fn fill_all(&self, templates: &[Template]) -> Result<Vec<String>, Failure> {
        templates.iter().map(|template| self.fill(template.as_str())).collect()
    }

    pub(super) fn url(&self, text: &str) -> Result<Uri, Failure> {
        let url = self.fill(text)?;
        let refuse =
            || Failure::input(format!("`{url}` is not a URL")).hint("write it as `https://auth.example.com/health`");
        let uri: Uri = url.parse().map_err(|_| refuse())?;
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        if is_http && uri.host().is_some() { Ok(uri) } else { Err(refuse()) }
    }
}
