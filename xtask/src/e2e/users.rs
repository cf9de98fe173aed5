//! Whom the actions act as: a user for each, who may do exactly what the policy on the action's page allows.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use super::aws_api::{AwsApi, element_of};
use crate::image::ACTIONS;
use crate::policies;

/// The variables that say who a step acts as.
pub(crate) type Credentials = [(String, String); 2];

/// Makes a user for each action; answers their credentials, by the action's name.
pub(crate) fn create(aws: AwsApi) -> Result<BTreeMap<String, Credentials>> {
    let user = |action: &&str| -> Result<(String, Credentials)> {
        let name = [("UserName", *action)];
        aws.iam("CreateUser", &name)?;
        let document = policies::document(action)?;
        aws.iam("PutUserPolicy", &[name[0], ("PolicyName", "delivery"), ("PolicyDocument", &document)])?;
        let key = aws.iam("CreateAccessKey", &name)?;
        let (id, secret) = (element_of(&key, "AccessKeyId")?, element_of(&key, "SecretAccessKey")?);
        let credentials = [("AWS_ACCESS_KEY_ID", id), ("AWS_SECRET_ACCESS_KEY", secret)];
        Ok(((*action).to_owned(), credentials.map(|(variable, value)| (variable.to_owned(), value))))
    };
    ACTIONS.iter().map(user).collect::<Result<_>>().context("cannot make the users that the actions act as")
}
