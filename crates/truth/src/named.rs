//! The scenarios that have a name: those that every tool was measured with, and the edge cases around them.

mod cases;

use cases::Case;

use crate::edit::touch_root;
use crate::estate::Plan;
use crate::model::Model;

/// Every named scenario that is possible with this estate.
pub(crate) fn plans(base: &Model) -> Vec<Plan> {
    let mut plans: Vec<Plan> = cases::all().iter().filter_map(|case| plan(base, case)).collect();
    plans.extend(merge(base));
    plans
}

/// The changes that tools are timed with.
pub(crate) fn races(base: &Model) -> Vec<Plan> {
    cases::races().iter().filter_map(|case| plan(base, case)).collect()
}

fn plan(base: &Model, case: &Case) -> Option<Plan> {
    let mut head = base.clone();
    (case.edit)(&mut head)?;
    Some(Plan { name: case.name.to_owned(), why: case.why.to_owned(), head, sides: Vec::new() })
}

/// Two branches with a change each, merged: their union.
fn merge(base: &Model) -> Option<Plan> {
    let edits: [fn(&mut Model) -> Option<()>; 2] =
        [|model| touch_root(model, "libs/own-0000"), |model| touch_root(model, "libs/own-0001")];
    let mut sides = vec![base.clone(), base.clone()];
    let mut head = base.clone();
    for (side, edit) in sides.iter_mut().zip(edits) {
        edit(side)?;
        edit(&mut head)?;
    }
    Some(Plan {
        name: "merge-commit".to_owned(),
        why: "each side of the merge changed one service's library".to_owned(),
        head,
        sides,
    })
}

#[cfg(test)]
mod tests {
    use super::cases::Expect;
    use super::*;
    use crate::grow::grow;
    use crate::reach::{Reach, difference};
    use crate::render::Ground;
    use crate::shape::{Shape, Tool};

    /// The truth of every scenario is what a person says that it is.
    fn check(tool: Tool, projects: usize) {
        let base = grow(&Shape::of(tool, projects));
        let (before, ground) = (Reach::of(&base), Ground::new(&base));
        for case in cases::all() {
            let Some(plan) = plan(&base, &case) else { continue };
            let reached = difference(&before, &plan.head).services.len();
            let everybody = plan.head.services.len();
            let right = match case.expect {
                Expect::Everybody => reached == everybody,
                Expect::Exactly(count) => reached == count,
                Expect::Some => reached > 0 && reached < everybody,
            };
            assert!(right, "{tool:?}: {} reaches {reached}, not {:?}", case.name, case.expect);
            assert!(!ground.changes(&plan.head).is_empty(), "{tool:?}: {} changes no file", case.name);
        }
    }

    #[test]
    fn truths_are_what_a_person_expects() {
        for tool in Tool::ALL {
            check(tool, 200);
        }
    }

    #[test]
    fn an_nx_estate_has_every_scenario() {
        let base = grow(&Shape::of(Tool::Nx, 200));
        let missing: Vec<&str> =
            cases::all().iter().filter(|case| plan(&base, case).is_none()).map(|case| case.name).collect();
        assert_eq!(missing, Vec::<&str>::new());
    }
}
