//! What is built, and after what.

use std::collections::{BTreeMap, BTreeSet};

use common::names::ServiceKey;

use super::recipe::Recipe;
use crate::plan::Plan;

/// What is built, in waves.
pub(super) struct Queue<'a>(Vec<Vec<Turn<'a>>>);

/// One image's turn.
pub(super) struct Turn<'a> {
    pub(super) key: &'a ServiceKey,
    pub(super) recipe: &'a Recipe,
    /// Those that come before it.
    pub(super) after: Vec<&'a ServiceKey>,
    /// Whether it is built for its own sake. Else another is made of it.
    pub(super) is_affected: bool,
}

impl<'a> Queue<'a> {
    /// Everything that has a recipe, in the order of the delivery file within each wave.
    pub(super) fn of(plan: &'a Plan, recipes: &'a BTreeMap<ServiceKey, Recipe>) -> Self {
        let affected: BTreeSet<&ServiceKey> = plan.affected().map(|candidate| &candidate.service.key).collect();
        let turns: Vec<Turn<'_>> = plan
            .services
            .iter()
            .filter_map(|candidate| {
                let key = &candidate.service.key;
                let recipe = recipes.get(key)?;
                let mut after: Vec<&ServiceKey> = recipe.services().chain(&candidate.service.depends_on).collect();
                after.retain(|other| *other != key && recipes.contains_key(*other));
                Some(Turn { key, recipe, after, is_affected: affected.contains(key) })
            })
            .collect();
        Self(in_waves(turns))
    }

    pub(super) fn waves(&self) -> impl Iterator<Item = &[Turn<'a>]> {
        self.0.iter().map(Vec::as_slice)
    }

    pub(super) fn turns(&self) -> impl Iterator<Item = &Turn<'a>> {
        self.0.iter().flatten()
    }
}

/// Each comes after all that it is to come after. What goes in a circle comes last, and fails there with its reason.
fn in_waves(mut turns: Vec<Turn<'_>>) -> Vec<Vec<Turn<'_>>> {
    let mut waves = Vec::new();
    while !turns.is_empty() {
        let left: BTreeSet<&ServiceKey> = turns.iter().map(|turn| turn.key).collect();
        let (ready, rest): (Vec<_>, Vec<_>) =
            turns.into_iter().partition(|turn| !turn.after.iter().any(|key| left.contains(key)));
        if ready.is_empty() {
            waves.push(rest);
            break;
        }
        waves.push(ready);
        turns = rest;
    }
    waves
}
