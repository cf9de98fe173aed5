//! The action against repositories whose right answer is known by construction: nothing missed, nothing needless.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use stage::Stage;
use truth::{Answer, Estate, Repository, Shape, Tool, check};

use crate::shop::{event, run};

/// A stage whose workspace is this estate.
fn put(estate: &Estate) -> Result<(Stage, Repository)> {
    let mut stage = Stage::new();
    event(&mut stage, "workflow_dispatch", "{}");
    let repository = estate.write(&stage.workspace())?;
    Ok((stage, repository))
}

async fn answer(stage: &Stage, base: &str, head: &str) -> Result<Answer> {
    let ran = run(stage, &[("base", base), ("head", head)]).await;
    ensure!(ran.exit_code == 0, "{}", ran.log);
    let list = |name: &str| -> Result<Vec<Value>> {
        serde_json::from_str(ran.output(name)).with_context(|| format!("output `{name}`"))
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let names = |name: &str| -> Result<BTreeSet<String>> { Ok(list(name)?.iter().filter_map(text).collect()) };
    let projects = list("projects")?;
    let projects = projects.iter().filter_map(|project| text(&project["project"])).collect();
    Ok(Answer { services: names("services")?, removed: names("removed")?, projects: Some(projects) })
}

fn exact(tool: Tool, estate: &Estate) {
    let (stage, repository) = put(estate).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let score = check(&repository, |_: &Path, base, head| {
        repository.check_out(head)?;
        let mut answer = runtime.block_on(answer(&stage, base, head))?;
        // Without a workspace there are folders, and no projects.
        answer.projects = answer.projects.filter(|_| tool != Tool::Plain);
        Ok(answer)
    });
    assert_eq!(score.wrong().count(), 0, "{tool:?}: {score}");
}

#[test]
fn every_scenario_of_every_tool_is_exact() {
    for tool in Tool::ALL {
        exact(tool, &Estate::new(Shape::of(tool, 30)).with_named().with_random(4));
    }
}

#[test]
fn chance_finds_nothing_that_is_missed_or_needless() {
    exact(Tool::Nx, &Estate::new(Shape { seed: 2, service_every: 5, ..Shape::of(Tool::Nx, 30) }).with_random(60));
}
