//! `post-entrypoint`: after the job, in a fresh container. A task of a run that was killed is found by what started it, whether
//! that run ever heard of it or not, and told of or stopped.

use common::aws::{Aws, Task};
use common::edges::Edges;
use common::failure::Failure;
use common::inputs;
use common::runner::{Annotation, Level};

use crate::ACTION;
use crate::config::Config;
use crate::inputs::{Inputs, OnCancel};
use crate::state::{self, Intended};

/// Looks for tasks that nobody follows. A run that came to its own end leaves nothing to do.
pub async fn post(edges: &Edges) -> Result<(), Failure> {
    let left = state::left(edges)?;
    if left.is_empty() {
        return Ok(());
    }
    let config = Config::read(inputs::parse::<Inputs>(edges.runner.environment())?, edges)?;
    let aws = edges.aws(&config.place).await?;
    for intended in &left {
        for task in orphans(intended, &aws).await? {
            let message = end(&config, intended, &task, &aws).await?;
            edges.runner.annotate(&Annotation { level: Level::Warning, title: ACTION.name, message: &message });
        }
    }
    Ok(())
}

/// The tasks of the run that was killed which are not over.
async fn orphans(intended: &Intended, aws: &Aws) -> Result<Vec<Task>, Failure> {
    let tasks = aws.ecs.tasks_of_family(&intended.cluster, &intended.family).await?;
    let is_orphan =
        |task: &Task| task.started_by.as_ref() == Some(&intended.started_by) && task.desired_status != "STOPPED";
    Ok(tasks.into_iter().filter(is_orphan).collect())
}

/// Does with an orphan what `on-cancel` says. Answers what to tell.
async fn end(config: &Config, intended: &Intended, task: &Task, aws: &Aws) -> Result<String, Failure> {
    let (service, id) = (&intended.service, task.id());
    if config.on_cancel == OnCancel::Detach {
        return Ok(format!(
            "`{service}`: the run was cut off, and its task {id} goes on\nhint: re-run this job to follow it to its end"
        ));
    }
    aws.ecs.stop_task(&intended.cluster, &task.arn, "run-migration: the run was cut off").await?;
    Ok(format!(
        "`{service}`: the run was cut off, and its task {id} was told to stop\nhint: look at what was applied, the migration tool's own status command tells; then run again"
    ))
}
