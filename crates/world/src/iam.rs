//! IAM: roles, and whether they may do something.
//!
//! API: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html>

use std::collections::BTreeMap;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::Value;

use crate::state::{State, World};
use crate::wire::{Refusal, members, xml};
use crate::{oci, wildcard};

pub(crate) const NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";

const PAGE: usize = 100;

/// What IAM knows.
#[derive(Debug, Default)]
pub(crate) struct Iam {
    /// By name, without the path: names are unique whatever the path.
    roles: BTreeMap<String, Role>,
    denials: Vec<Denial>,
}

#[derive(Debug)]
struct Role {
    /// `/`, or `/service-role/`.
    path: String,
    created_at: Timestamp,
}

/// What a role may not do; action and resource are patterns.
#[derive(Debug)]
struct Denial {
    role: String,
    action: String,
    resource: String,
}

impl World {
    /// Makes a role, if it is not there yet, and gives its ARN. The name may begin with a path: `service-role/execution`.
    pub fn create_role(&self, name: &str) -> String {
        self.with(|state| {
            create(state, name);
            format!("arn:aws:iam::{}:role/{name}", state.account)
        })
    }

    /// From now on a policy simulation says that a role (by name or ARN) lacks the permission for what these patterns fit
    /// (`ssm:Get*`, `*`). Roles may do everything else.
    pub fn deny(&self, role: &str, action: &str, resource: &str) {
        let denial = Denial {
            role: name_of(role).to_owned(),
            action: action.to_ascii_lowercase(),
            resource: resource.to_owned(),
        };
        self.with(|state| state.iam.denials.push(denial));
    }
}

/// Makes the roles that a task definition names: who builds a world with a service that runs says with it that they exist.
pub(crate) fn create_roles_of(state: &mut State, task_definition: &Value) {
    for member in ["executionRoleArn", "taskRoleArn"] {
        if let Some(role) = task_definition[member].as_str() {
            let path = role.split_once(":role/").map_or(role, |(_, path)| path);
            create(state, path);
        }
    }
}

/// Answers an action of IAM's API: the inside of its result.
pub(crate) fn answer(state: &State, action: &str, parameters: &BTreeMap<String, String>) -> Result<String, Refusal> {
    match action {
        "GetRole" => get_role(state, parameters),
        "SimulatePrincipalPolicy" => simulate_principal_policy(state, parameters),
        _ => Err(Refusal::new("InvalidAction", format!("Could not find operation {action} for version 2010-05-08"))),
    }
}

fn create(state: &mut State, path_and_name: &str) {
    let (path, name) = path_and_name.rsplit_once('/').unwrap_or(("", path_and_name));
    let path = if path.is_empty() { "/".to_owned() } else { format!("/{}/", path.trim_matches('/')) };
    let role = Role { path, created_at: state.now };
    state.iam.roles.entry(name.to_owned()).or_insert(role);
}

fn get_role(state: &State, parameters: &BTreeMap<String, String>) -> Result<String, Refusal> {
    let name = parameters.get("RoleName").map_or("", String::as_str);
    let role = state.iam.roles.get(name).ok_or_else(|| no_such_role(name))?;
    // The trust policy, percent-encoded as IAM hands policies out.
    let trust = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Principal%22%3A\
                 %7B%22Service%22%3A%22ecs-tasks.amazonaws.com%22%7D%2C%22Action%22%3A%22sts%3AAssumeRole%22%7D%5D%7D";
    Ok(format!(
        "<Role><Path>{path}</Path><RoleName>{name}</RoleName><RoleId>AROA{id}</RoleId><Arn>{arn}</Arn>\
         <CreateDate>{created}</CreateDate><AssumeRolePolicyDocument>{trust}</AssumeRolePolicyDocument>\
         <MaxSessionDuration>3600</MaxSessionDuration><RoleLastUsed/></Role>",
        path = xml(&role.path),
        name = xml(name),
        id = oci::hexadecimal(name)[..17].to_uppercase(),
        arn = xml(&arn(state, name, role)),
        created = role.created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    ))
}

/// One result for each action on each resource.
fn simulate_principal_policy(state: &State, parameters: &BTreeMap<String, String>) -> Result<String, Refusal> {
    let source = parameters.get("PolicySourceArn").map_or("", String::as_str);
    if !source.starts_with("arn:aws:iam::") {
        return Err(Refusal::new("InvalidInput", format!("Invalid Entity Arn: {source}")));
    }
    let name = name_of(source);
    if !state.iam.roles.contains_key(name) {
        return Err(no_such_role(name));
    }
    let actions = members(parameters, "ActionNames");
    if let Some(action) = actions.iter().find(|action| !action.contains(':')) {
        return Err(Refusal::new("InvalidInput", format!("Invalid Action Name: {action}")));
    }
    let resources = match members(parameters, "ResourceArns") {
        resources if resources.is_empty() => vec!["*"],
        resources => resources,
    };
    let pairs = actions.iter().flat_map(|action| resources.iter().map(move |resource| (*action, *resource)));
    let results: Vec<String> = pairs.map(|(action, resource)| result(state, name, action, resource)).collect();
    let number = |name: &str| parameters.get(name).and_then(|text| text.parse::<usize>().ok());
    let start = number("Marker").unwrap_or(0);
    let size = number("MaxItems").unwrap_or(PAGE).clamp(1, 1000);
    let end = start.saturating_add(size);
    let page: String = results.iter().skip(start).take(size).map(String::as_str).collect();
    let more = if end < results.len() {
        format!("<IsTruncated>true</IsTruncated><Marker>{end}</Marker>")
    } else {
        "<IsTruncated>false</IsTruncated>".to_owned()
    };
    Ok(format!("{more}<EvaluationResults>{page}</EvaluationResults>"))
}

fn result(state: &State, role: &str, action: &str, resource: &str) -> String {
    let is_denied = state.iam.denials.iter().any(|denial| {
        denial.role == role
            && wildcard::matches(&denial.action, &action.to_ascii_lowercase())
            && wildcard::matches(&denial.resource, resource)
    });
    format!(
        "<member><EvalActionName>{}</EvalActionName><EvalResourceName>{}</EvalResourceName>\
         <EvalDecision>{}</EvalDecision><MatchedStatements/><MissingContextValues/></member>",
        xml(action),
        xml(resource),
        // A permission that nobody gave; `explicitDeny` is for one that a policy takes away.
        if is_denied { "implicitDeny" } else { "allowed" },
    )
}

fn arn(state: &State, name: &str, role: &Role) -> String {
    format!("arn:aws:iam::{}:role{}{name}", state.account, role.path)
}

/// The name in a role's ARN, or the name itself.
fn name_of(role: &str) -> &str {
    role.rsplit('/').next().unwrap_or(role)
}

fn no_such_role(name: &str) -> Refusal {
    let message = format!("The role with name {name} cannot be found.");
    Refusal::new("NoSuchEntity", message).with_status(StatusCode::NOT_FOUND)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(world: &World, action: &str, parameters: &[(&str, &str)]) -> Result<String, Refusal> {
        let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        world.with(|state| answer(state, action, &parameters))
    }

    #[test]
    fn a_role_exists_once_it_was_made() {
        let world = World::new();
        let refused = ask(&world, "GetRole", &[("RoleName", "execution")]).unwrap_err();
        assert_eq!((refused.status, refused.code.as_str()), (StatusCode::NOT_FOUND, "NoSuchEntity"));
        assert_eq!(
            world.create_role("service-role/execution"),
            "arn:aws:iam::111122223333:role/service-role/execution"
        );
        let found = ask(&world, "GetRole", &[("RoleName", "execution")]).unwrap();
        assert!(found.contains("<Arn>arn:aws:iam::111122223333:role/service-role/execution</Arn>"), "{found}");
        assert!(found.contains("<Path>/service-role/</Path>"), "{found}");
    }

    #[test]
    fn a_role_may_do_what_it_is_not_denied() {
        let world = World::new();
        let role = world.create_role("execution");
        world.deny(&role, "ssm:Get*", "arn:aws:ssm:*:parameter/shop/*");
        let asked = [
            ("PolicySourceArn", role.as_str()),
            ("ActionNames.member.1", "ssm:GetParameters"),
            ("ActionNames.member.2", "kms:Decrypt"),
            ("ResourceArns.member.1", "arn:aws:ssm:eu-west-1:111122223333:parameter/shop/db"),
            ("ResourceArns.member.2", "arn:aws:ssm:eu-west-1:111122223333:parameter/plain"),
        ];
        let decisions = |answer: &str| -> Vec<String> {
            let after = answer.split("<EvalDecision>").skip(1);
            after.map(|text| text.split('<').next().unwrap().to_owned()).collect()
        };
        let whole = ask(&world, "SimulatePrincipalPolicy", &asked).unwrap();
        assert_eq!(decisions(&whole), ["implicitDeny", "allowed", "allowed", "allowed"]);
        let page = |more: &[(&str, &str)]| ask(&world, "SimulatePrincipalPolicy", &[&asked, more].concat()).unwrap();
        let first = page(&[("MaxItems", "3")]);
        assert!(first.contains("<IsTruncated>true</IsTruncated><Marker>3</Marker>"), "{first}");
        let rest = page(&[("MaxItems", "3"), ("Marker", "3")]);
        assert_eq!((decisions(&rest).len(), rest.contains("<IsTruncated>false")), (1, true));

        let nobody = [("PolicySourceArn", "arn:aws:iam::111122223333:role/nobody")];
        assert_eq!(ask(&world, "SimulatePrincipalPolicy", &nobody).unwrap_err().code, "NoSuchEntity");
    }
}
