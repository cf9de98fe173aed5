//! An `action.yml` as the runner reads it.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use saphyr::{LoadableYamlNode, Yaml};

/// What the runner needs to know of a container action.
#[derive(Debug)]
pub(crate) struct Action {
    /// Inputs in order of declaration, with their defaults.
    inputs: Vec<(String, Option<String>)>,
    pub(crate) entrypoint: String,
    pub(crate) post_entrypoint: Option<String>,
}

impl Action {
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        Self::parse(&text).with_context(|| file.display().to_string())
    }

    fn parse(text: &str) -> Result<Self> {
        let documents = Yaml::load_from_str(text)?;
        let action = documents.first().context("the file is empty")?;
        let runs = field(action, "runs")?;
        if text_of(field(runs, "using")?)? != "docker" {
            bail!("not a container action");
        }
        let declared = action.as_mapping_get("inputs").and_then(Yaml::as_mapping).into_iter().flatten();
        let inputs = declared
            .map(|(name, input)| {
                let default = input.as_mapping_get("default").map(text_of).transpose()?;
                Ok((text_of(name)?, default))
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            inputs,
            entrypoint: text_of(field(runs, "entrypoint")?)?,
            post_entrypoint: runs.as_mapping_get("post-entrypoint").map(text_of).transpose()?,
        })
    }

    /// `INPUT_*` variables: every declared input, by what `with` says or its default, blank if neither is there. The runner
    /// only warns of an input that is not declared; in a test it is a mistake.
    /// <https://github.com/actions/runner/blob/main/src/Runner.Worker/Handlers/Handler.cs>
    pub(crate) fn input_variables(&self, with: &[(&str, &str)], token: &str) -> Result<Vec<(String, String)>> {
        if let Some((unknown, _)) = with.iter().find(|(name, _)| !self.inputs.iter().any(|(input, _)| input == name)) {
            bail!("unexpected input `{unknown}`");
        }
        self.inputs
            .iter()
            .map(|(name, default)| {
                let given = with.iter().find(|(given, _)| given == name).map(|(_, value)| (*value).to_owned());
                let value = match (given, default) {
                    (Some(value), _) => value,
                    (None, Some(default)) => evaluate(default, token)?,
                    (None, None) => String::new(),
                };
                Ok((format!("INPUT_{}", name.replace(' ', "_").to_uppercase()), value))
            })
            .collect()
    }
}

/// The one expression that the suite's defaults hold.
fn evaluate(default: &str, token: &str) -> Result<String> {
    match default {
        "${{ github.token }}" => Ok(token.to_owned()),
        expression if expression.contains("${{") => Err(anyhow!("cannot evaluate the default `{expression}`")),
        plain => Ok(plain.to_owned()),
    }
}

fn field<'a>(yaml: &'a Yaml<'a>, name: &str) -> Result<&'a Yaml<'a>> {
    yaml.as_mapping_get(name).with_context(|| format!("`{name}` is missing"))
}

/// A scalar as GitHub sees it: inputs are texts, whatever YAML makes of `true` or `5`.
fn text_of(yaml: &Yaml<'_>) -> Result<String> {
    if let Some(text) = yaml.as_str() {
        return Ok(text.to_owned());
    }
    match (yaml.as_bool(), yaml.as_integer()) {
        (Some(boolean), _) => Ok(boolean.to_string()),
        (_, Some(integer)) => Ok(integer.to_string()),
        _ => bail!("expected a text, found {yaml:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACTION: &str = "
name: \"example\"
inputs:
  dry-run:
    required: false
    default: \"false\"
  passes:
    default: 3
  github-token:
    default: ${{ github.token }}
  services:
    description: blank = all
runs:
  using: docker
  image: ../../Dockerfile
  entrypoint: /example
";

    fn variables(with: &[(&str, &str)]) -> Result<Vec<(String, String)>> {
        Action::parse(ACTION)?.input_variables(with, "ghs_token")
    }

    #[test]
    fn every_declared_input_is_passed_even_blank() {
        let expected = [
            ("INPUT_DRY-RUN", "true"),
            ("INPUT_PASSES", "3"),
            ("INPUT_GITHUB-TOKEN", "ghs_token"),
            ("INPUT_SERVICES", ""),
        ];
        let expected: Vec<_> = expected.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        assert_eq!(variables(&[("dry-run", "true")]).unwrap(), expected);
    }

    #[test]
    fn an_input_that_is_not_declared_is_a_mistake() {
        assert_eq!(variables(&[("service", "auth")]).unwrap_err().to_string(), "unexpected input `service`");
    }

    #[test]
    fn entry_points_are_read_as_declared() {
        let action = Action::parse(ACTION).unwrap();
        assert_eq!((action.entrypoint.as_str(), action.post_entrypoint), ("/example", None));
        let post = Action::parse(&format!("{ACTION}  post-entrypoint: /example\n")).unwrap();
        assert_eq!(post.post_entrypoint.as_deref(), Some("/example"));
    }
}
