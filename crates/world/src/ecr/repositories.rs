//! Repositories and their settings.

use std::collections::btree_map::Entry;

use serde_json::{Value, json};

use super::repository::Repository;
use super::{listing, named, named_mut, no_repository, required, violation};
use crate::state::State;
use crate::wire::{self, Refusal};

pub(super) fn describe(state: &State, body: &Value) -> Result<Value, Refusal> {
    let all = &state.ecr.repositories;
    let repositories = match body["repositoryNames"].as_array() {
        None => all.iter().map(|(name, repository)| view(state, name, repository)).collect(),
        Some(names) => names
            .iter()
            .map(|name| {
                let name = name.as_str().unwrap_or_default();
                all.get(name).map(|repository| view(state, name, repository)).ok_or_else(|| no_repository(state, name))
            })
            .collect::<Result<Vec<_>, _>>()?,
    };
    listing("repositories", repositories, body)
}

pub(super) fn create(state: &mut State, body: &Value) -> Result<Value, Refusal> {
    let name = required(body, "repositoryName")?;
    check_name(&name)?;
    let mut repository = Repository::created_at(state.now);
    set_mutability(&mut repository, body)?;
    repository.scan_on_push = body["imageScanningConfiguration"]["scanOnPush"].as_bool().unwrap_or(false);
    if let Some(encryption) = body["encryptionConfiguration"]["encryptionType"].as_str() {
        repository.encryption = encryption.to_owned();
        repository.kms_key = body["encryptionConfiguration"]["kmsKey"].as_str().map(str::to_owned);
    }
    match state.ecr.repositories.entry(name.clone()) {
        Entry::Vacant(vacant) => {
            vacant.insert(repository);
        }
        Entry::Occupied(_) => {
            let account = &state.account;
            let message =
                format!("The repository with name '{name}' already exists in the registry with id '{account}'");
            return Err(Refusal::new("RepositoryAlreadyExistsException", message));
        }
    }
    let (repository, name) = named(state, body)?;
    Ok(json!({ "repository": view(state, &name, repository) }))
}

pub(super) fn put_image_tag_mutability(state: &mut State, body: &Value) -> Result<Value, Refusal> {
    required(body, "imageTagMutability")?;
    let account = state.account.clone();
    let (repository, name) = named_mut(state, body)?;
    set_mutability(repository, body)?;
    let mut answer = json!({ "registryId": account, "repositoryName": name });
    show_mutability(&mut answer, repository);
    Ok(answer)
}

pub(super) fn put_image_scanning_configuration(state: &mut State, body: &Value) -> Result<Value, Refusal> {
    let account = state.account.clone();
    let (repository, name) = named_mut(state, body)?;
    repository.scan_on_push = body["imageScanningConfiguration"]["scanOnPush"].as_bool().unwrap_or(false);
    let configuration = json!({ "scanOnPush": repository.scan_on_push });
    Ok(json!({ "registryId": account, "repositoryName": name, "imageScanningConfiguration": configuration }))
}

pub(super) fn get_lifecycle_policy(state: &State, body: &Value) -> Result<Value, Refusal> {
    let account = &state.account;
    let (repository, name) = named(state, body)?;
    match &repository.lifecycle_policy {
        Some(policy) => Ok(json!({ "registryId": account, "repositoryName": name, "lifecyclePolicyText": policy })),
        None => {
            let message = format!(
                "Lifecycle policy does not exist for the repository with name '{name}' in the registry with id '{account}'"
            );
            Err(Refusal::new("LifecyclePolicyNotFoundException", message))
        }
    }
}

pub(super) fn put_lifecycle_policy(state: &mut State, body: &Value) -> Result<Value, Refusal> {
    let policy = required(body, "lifecyclePolicyText")?;
    if policy.len() < 100 || policy.len() > 30_720 {
        return Err(violation("LifecyclePolicyText", "Member must have length between 100 and 30720, inclusive"));
    }
    let parsed: Value = serde_json::from_str(&policy).unwrap_or(Value::Null);
    if !parsed["rules"].is_array() {
        let message = "Lifecycle policy validation failure: object has missing required properties ([\"rules\"])";
        return Err(violation("LifecyclePolicyText", message));
    }
    let account = state.account.clone();
    let (repository, name) = named_mut(state, body)?;
    repository.lifecycle_policy = Some(policy.clone());
    Ok(json!({ "registryId": account, "repositoryName": name, "lifecyclePolicyText": policy }))
}

fn view(state: &State, name: &str, repository: &Repository) -> Value {
    let mut view = json!({
        "repositoryArn": format!("arn:aws:ecr:{}:{}:repository/{name}", state.region, state.account),
        "registryId": state.account,
        "repositoryName": name,
        "repositoryUri": format!("{}/{name}", state.registry_host),
        "createdAt": wire::epoch(repository.created_at),
        "imageScanningConfiguration": { "scanOnPush": repository.scan_on_push },
        "encryptionConfiguration": { "encryptionType": repository.encryption },
    });
    if let Some(key) = &repository.kms_key {
        view["encryptionConfiguration"]["kmsKey"] = json!(key);
    }
    show_mutability(&mut view, repository);
    view
}

fn show_mutability(view: &mut Value, repository: &Repository) {
    view["imageTagMutability"] = json!(repository.mutability);
    if !repository.exclusions.is_empty() {
        let filter = |pattern: &String| json!({ "filterType": "WILDCARD", "filter": pattern });
        view["imageTagMutabilityExclusionFilters"] = repository.exclusions.iter().map(filter).collect();
    }
}

fn set_mutability(repository: &mut Repository, body: &Value) -> Result<(), Refusal> {
    let Some(mutability) = body["imageTagMutability"].as_str() else { return Ok(()) };
    let member = "imageTagMutabilityExclusionFilters";
    let filters: Vec<&str> =
        body[member].as_array().into_iter().flatten().filter_map(|filter| filter["filter"].as_str()).collect();
    if mutability.ends_with("_WITH_EXCLUSION") == filters.is_empty() {
        let message = format!("{mutability} and {} exclusion filters do not go together", filters.len());
        return Err(violation(member, &message));
    }
    if filters.len() > 5 {
        return Err(violation(member, "Member must have length between 1 and 5, inclusive"));
    }
    let is_valid = |filter: &&str| filter.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._*-".contains(&byte));
    if let Some(filter) = filters.iter().find(|filter| !is_valid(filter)) {
        return Err(violation(
            member,
            &format!("{filter} must satisfy regular expression '^[0-9a-zA-Z._*-]{{1,128}}$'"),
        ));
    }
    repository.exclusions = filters.into_iter().map(str::to_owned).collect();
    mutability.clone_into(&mut repository.mutability);
    Ok(())
}

/// The API's pattern: lower-case words, joined by `.`, `_`, `-` and grouped by `/`.
fn check_name(name: &str) -> Result<(), Refusal> {
    let is_word = |word: &str| {
        word.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
            && word.ends_with(|last: char| last.is_ascii_lowercase() || last.is_ascii_digit())
            && word
                .chars()
                .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "._-".contains(letter))
    };
    if (2..=256).contains(&name.len()) && name.split('/').all(is_word) {
        return Ok(());
    }
    Err(violation(
        "repositoryName",
        "must satisfy regular expression '[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*(\\/[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*)*'",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::answer;
    use super::*;
    use crate::state::World;

    fn ask(world: &World, operation: &str, body: Value) -> Result<Value, String> {
        world.with(|state| answer(state, operation, &body)).map_err(|refusal| refusal.code)
    }

    #[test]
    fn a_repository_is_created_once_and_reconciled_after() {
        let world = World::new();
        let name = json!({ "repositoryName": "shop/auth", "imageTagMutability": "IMMUTABLE" });
        let created = ask(&world, "CreateRepository", name.clone()).unwrap();
        let uri = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/auth";
        assert_eq!(created["repository"]["repositoryUri"], uri);
        assert_eq!(ask(&world, "CreateRepository", name.clone()), Err("RepositoryAlreadyExistsException".to_owned()));

        assert_eq!(ask(&world, "GetLifecyclePolicy", name.clone()), Err("LifecyclePolicyNotFoundException".to_owned()));
        let policy = format!("{{\"rules\":[{}]}}", " ".repeat(100));
        let put = json!({ "repositoryName": "shop/auth", "lifecyclePolicyText": policy });
        ask(&world, "PutLifecyclePolicy", put).unwrap();
        assert_eq!(ask(&world, "GetLifecyclePolicy", name).unwrap()["lifecyclePolicyText"], policy);

        let scan = json!({ "repositoryName": "shop/auth", "imageScanningConfiguration": { "scanOnPush": true } });
        ask(&world, "PutImageScanningConfiguration", scan).unwrap();
        let all = ask(&world, "DescribeRepositories", json!({})).unwrap();
        assert_eq!(all["repositories"][0]["imageScanningConfiguration"]["scanOnPush"], true);
        assert_eq!(all["repositories"][0]["imageTagMutability"], "IMMUTABLE");
    }

    #[test]
    fn names_that_ecr_refuses_are_refused() {
        let world = World::new();
        for name in ["Shop", "shop//auth", "-shop", "127.0.0.1:5000/shop", "a"] {
            let refused = ask(&world, "CreateRepository", json!({ "repositoryName": name }));
            assert_eq!(refused, Err("InvalidParameterException".to_owned()), "{name}");
        }
        let exclusion = json!({ "filterType": "WILDCARD", "filter": "main" });
        for (mutability, filters) in [("IMMUTABLE", json!([exclusion])), ("IMMUTABLE_WITH_EXCLUSION", json!([]))] {
            let body = json!({
                "repositoryName": "shop", "imageTagMutability": mutability, "imageTagMutabilityExclusionFilters": filters,
            });
            assert_eq!(
                ask(&world, "CreateRepository", body),
                Err("InvalidParameterException".to_owned()),
                "{mutability}"
            );
        }
        let missing = ask(&world, "DescribeRepositories", json!({ "repositoryNames": ["nope"] }));
        assert_eq!(missing, Err("RepositoryNotFoundException".to_owned()));
    }
}
