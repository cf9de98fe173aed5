//! What happens in each: an edit of the model, how many services it is expected to reach, and why.

use crate::edit::{
    add_file, add_library, add_service, bump, declare, delete_library, delete_service, import, make_executable,
    move_file, move_project, only, only_node, rename_package, rename_service, repoint, repoint_alias, text, touch,
    touch_loose, touch_root, untie,
};
use crate::grow::{TWO_MAJORS, external_name, package_name, root_file};
use crate::model::{External, File, From, Kind, Model, Service, Take};
use crate::shape::Tool;

/// How many services a scenario is expected to reach, said by hand: the check of the truth itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    Everybody,
    Exactly(usize),
    /// Somebody, but not everybody.
    Some,
}

pub(super) struct Case {
    pub(super) name: &'static str,
    #[cfg_attr(not(test), expect(dead_code, reason = "only the tests hold the truth against what a person expects"))]
    pub(super) expect: Expect,
    pub(super) why: &'static str,
    pub(super) edit: fn(&mut Model) -> Option<()>,
}

const NOBODY: Expect = Expect::Exactly(0);
const ONE: Expect = Expect::Exactly(1);
const TWO: Expect = Expect::Exactly(2);

/// All that have a name.
pub(super) fn all() -> Vec<Case> {
    [sources(), settings(), locks(), edges(), docker(), projects(), names()].into_iter().flatten().collect()
}

/// The changes that tools are timed with.
pub(super) fn races() -> Vec<Case> {
    vec![
        case("leaf", ONE, "a library of one service was edited", |model| touch_root(model, "libs/own-0000")),
        case("root", Expect::Everybody, "every service reaches core", |model| touch_root(model, "libs/core")),
        case("lockfile", Expect::Some, "the services whose own library wants it", |model| bump(model, &direct())),
    ]
}

fn case(name: &'static str, expect: Expect, why: &'static str, edit: fn(&mut Model) -> Option<()>) -> Case {
    Case { name, expect, why, edit }
}

fn sources() -> Vec<Case> {
    let everybody = Expect::Everybody;
    vec![
        case("leaf-source", ONE, "one service uses the library", |model| touch_root(model, "libs/own-0000")),
        case("root-source", everybody, "every service reaches core", |model| touch_root(model, "libs/core")),
        case("two-changes", TWO, "two services' own libraries, one commit", |model| {
            touch_root(model, "libs/own-0000")?;
            touch_root(model, "libs/own-0001")
        }),
        case("root-readme", NOBODY, "docs are left out by production, inputs and .dockerignore", |model| {
            workspace(model)?;
            touch(model, "libs/core", "README.md")
        }),
        case("root-spec", NOBODY, "specs are left out by production, inputs and .dockerignore", |model| {
            workspace(model)?;
            touch(model, "libs/core", if model.tool == Tool::Cargo { "src/index.spec.rs" } else { "src/index.spec.ts" })
        }),
        case("root-fixture", everybody, "nothing leaves fixtures out: they are in every image", |model| {
            touch(model, "libs/core", "fixtures/sample.json")
        }),
        case("docs", NOBODY, "docs/ belongs to no project and is ignored by .dockerignore", |model| {
            touch_loose(model, "docs/guide.md")
        }),
        case("file-added", ONE, "the service's library has a file more", |model| {
            add_file(model, "libs/own-0000", "src/added.txt", text())
        }),
        case("file-deleted", ONE, "the service's library has a file less", |model| {
            model.projects.get_mut("libs/own-0000")?.files.remove("fixtures/sample.json").map(drop)
        }),
        case("file-moved-between-projects", TWO, "both libraries' files changed", |model| {
            move_file(model, "libs/own-0000", "libs/own-0001", "fixtures/sample.json", "fixtures/moved.json")
        }),
        case("executable-bit", ONE, "the image keeps a file's mode", |model| {
            make_executable(model, "libs/own-0000", "fixtures/sample.json")
        }),
        case("symlink-added", ONE, "a link is a file of the library", |model| {
            add_file(model, "libs/own-0000", "src/link", File::new(Kind::Link("../fixtures/sample.json".to_owned())))
        }),
        case("symlink-loop", ONE, "a link to itself is a file all the same", |model| {
            add_file(model, "libs/own-0000", "src/loop", File::new(Kind::Link("loop".to_owned())))
        }),
        case("name-with-spaces", ONE, "a file is a file, whatever its name", |model| {
            add_file(model, "libs/own-0000", "src/a b  c.txt", text())
        }),
        case("name-not-ascii", ONE, "a file is a file, whatever its name", |model| {
            add_file(model, "libs/own-0000", "src/größe-名.txt", text())
        }),
        case("name-with-newline", ONE, "a file is a file, whatever its name", |model| {
            add_file(model, "libs/own-0000", "src/line\nbreak \"quoted\"\\.txt", text())
        }),
    ]
}

fn settings() -> Vec<Case> {
    let everybody = Expect::Everybody;
    vec![
        case("root-script", NOBODY, "no image runs the root's format script", |model| {
            only_node(model)?;
            model.settings.root_script += 1;
            Some(())
        }),
        case("root-engines", everybody, "the engine is what every image's code is made for", |model| {
            only_node(model)?;
            model.settings.engine += 2;
            Some(())
        }),
        case("nx-parallel", NOBODY, "how many tasks run at once changes no result", |model| {
            only(model, &[Tool::Nx])?;
            model.settings.nx_parallel += 1;
            Some(())
        }),
        case("turbo-unrelated-task", NOBODY, "no image is built by the task storybook", |model| {
            only(model, &[Tool::Nx, Tool::Turbo])?;
            model.settings.turbo_task = true;
            Some(())
        }),
        case("compiler-target", everybody, "every project extends tsconfig.base.json", |model| {
            workspace(model)?;
            model.settings.target += 1;
            Some(())
        }),
        case("tsconfig-unused-path", NOBODY, "nothing imports by the new path", |model| {
            only_node(model)?;
            model.settings.aliases.insert("@paths/nobody".to_owned(), "libs/core/src/index.ts".to_owned());
            Some(())
        }),
        case("tsconfig-used-path", ONE, "the one service that imports by this path gets another module", |model| {
            only_node(model)?;
            // The fourth service imports its own library by a path.
            repoint_alias(model, "@paths/own-0003", "libs/own-0003/src/part_02.ts")
        }),
        case("npmrc-added", everybody, "the install of every image reads .npmrc", |model| {
            only_node(model)?;
            model.loose.insert(".npmrc".to_owned(), text()).is_none().then_some(())
        }),
        case("delivery-comment", NOBODY, "a comment is in no service's table", |model| {
            model.settings.delivery_comment += 1;
            Some(())
        }),
        case("service-table", ONE, "the service's own table may make another build", |model| {
            service(model, 0)?.container = "server".to_owned();
            Some(())
        }),
    ]
}

fn locks() -> Vec<Case> {
    vec![
        case("lock-direct", Expect::Some, "the services that reach the library that wants it", |model| {
            bump(model, &direct())
        }),
        case("lock-transitive", Expect::Some, "the services below which it is resolved", |model| {
            let transitive = transitive(model)?;
            bump(model, &transitive)
        }),
        case(
            "lock-edge-repointed",
            Expect::Some,
            "the closure has the same versions, but another one is below the direct one",
            |model| repoint(model, &direct(), &external_name(TWO_MAJORS)),
        ),
        case("lock-unused", NOBODY, "no project reaches it", |model| {
            workspace(model)?;
            bump(model, &External { name: external_name(149), major: 1 })
        }),
        case("lock-reformatted", NOBODY, "another order and an empty line say the same", |model| {
            workspace(model)?;
            model.settings.lock_reformatted = true;
            Some(())
        }),
        case("lock-external-added", ONE, "the service's library wants one more", |model| {
            workspace(model)?;
            model.projects.get_mut("libs/own-0000")?.wants.insert(external_name(149), 1);
            Some(())
        }),
        case("catalog-widened", NOBODY, "the same version is resolved", |model| {
            *model.settings.catalog.get_mut(&external_name(0))? = ">=1.0.0 <3.0.0".to_owned();
            Some(())
        }),
    ]
}

fn edges() -> Vec<Case> {
    vec![
        case("undeclared-import", Expect::Exactly(3), "three services import it without declaring it", |model| {
            workspace(model)?;
            touch_root(model, "libs/undeclared")
        }),
        case("implicit-dependency", Expect::Exactly(3), "three services depend on it implicitly", |model| {
            workspace(model)?;
            touch_root(model, "libs/implicit")
        }),
        case("implicit-added", ONE, "the service has one more dependency", |model| {
            only(model, &[Tool::Nx])?;
            let name = package_name(model.tool, "own-0001");
            let home = home(model, 0)?;
            model.projects.get_mut(&home)?.implicit.insert(name).then_some(())
        }),
        case("implicit-removed", TWO, "one service lost it, another one depends on that", |model| {
            only(model, &[Tool::Nx])?;
            let home = home(model, 5)?;
            untie(model, &home, "libs/implicit")
        }),
        case("import-added", ONE, "the library's new import makes an edge", |model| {
            only_node(model)?;
            import(model, "libs/own-0000", "src/part_03.ts", "@paths/own-0001")
        }),
        case(
            "edge-removed-and-library-changed",
            ONE,
            "the one that lost the edge; the library had no other user",
            |model| {
                workspace(model)?;
                let home = home(model, 0)?;
                untie(model, &home, "libs/own-0000")?;
                touch_root(model, "libs/own-0000")
            },
        ),
        case("edge-added-and-library-changed", TWO, "its user and the one that begins to use it", |model| {
            workspace(model)?;
            let name = package_name(model.tool, "own-0001");
            let home = home(model, 0)?;
            declare(model, &home, &name)?;
            touch_root(model, "libs/own-0001")
        }),
        case("mentioned-in-a-comment", ONE, "a comment and a string that look like an import make no edge", |model| {
            touch_root(model, "libs/own-0001")
        }),
        case("depends-on", TWO, "a service and the one that names it in depends-on", |model| {
            touch_root(model, "libs/own-0005")
        }),
        case("paths", ONE, "the service names the folder in paths", |model| {
            touch_loose(model, "tools/shared/rules.json")
        }),
        case("nested-project", ONE, "one service uses the nested library; the outer one is not it", |model| {
            workspace(model)?;
            touch_root(model, "libs/core/plugins/nested")
        }),
    ]
}

fn docker() -> Vec<Case> {
    vec![
        case("dockerfile-only", ONE, "the image is built from it", |model| {
            service(model, 0)?.dockerfile.argument += 1;
            Some(())
        }),
        case("dockerfile-base-tag", ONE, "the image starts from another one", |model| {
            service(model, 0)?.dockerfile.from = From::Public("node:25-alpine".to_owned());
            Some(())
        }),
        case("copied-file", TWO, "two Dockerfiles copy it", |model| touch_loose(model, "tools/docker/entrypoint.sh")),
        case("copied-by-glob", ONE, "the glob takes it", |model| touch_loose(model, "tools/certs/root.pem")),
        case("added-below-glob", ONE, "the glob takes the new file", |model| {
            model.loose.insert("tools/certs/second.pem".to_owned(), text()).is_none().then_some(())
        }),
        case("beside-glob", NOBODY, "the glob does not take it", |model| {
            workspace(model)?;
            touch_loose(model, "tools/certs/notes.txt")
        }),
        case("copied-folder", ONE, "a Dockerfile copies the folder", |model| {
            touch_loose(model, "tools/runtime/bin/start.sh")
        }),
        case("bind-mount", ONE, "a RUN binds it", |model| touch_loose(model, "tools/setup/install.sh")),
        case("copied-by-nobody", NOBODY, "no Dockerfile, project or service names it", |model| {
            workspace(model)?;
            touch_loose(model, "tools/unused/lint.sh")
        }),
        case("copy-added", ONE, "the image takes one file more", |model| {
            let take = Take::File("tools/unused/lint.sh".to_owned());
            service(model, 0)?.dockerfile.takes.insert(take).then_some(())
        }),
        case("base-image-chain", Expect::Exactly(3), "a service, the one from its image, the one from that", |model| {
            let last = chain_end(model)?;
            touch_root(model, &format!("libs/own-{:04}", last - 2))
        }),
        case(
            "base-image-chain-middle",
            TWO,
            "a service and the one from its image; not the one that it is from",
            |model| {
                let last = chain_end(model)?;
                service(model, last - 1)?.dockerfile.argument += 1;
                Some(())
            },
        ),
        case("dockerignore-more", Expect::Everybody, "fixtures are in no image any more", |model| {
            workspace(model)?;
            model.settings.ignores_fixtures = true;
            Some(())
        }),
        case("dockerignore-nothing-more", NOBODY, "there is no such folder", |model| {
            workspace(model)?;
            model.settings.ignores_nothing_more = true;
            Some(())
        }),
    ]
}

fn projects() -> Vec<Case> {
    vec![
        case("library-added", NOBODY, "nobody uses it", |model| {
            workspace(model)?;
            add_library(model, "new").map(drop)
        }),
        case("library-added-and-used", ONE, "one service uses it", |model| {
            workspace(model)?;
            add_library(model, "new")?;
            let name = package_name(model.tool, "new");
            let home = home(model, 0)?;
            import(model, &home, root_file(model.tool), &name)?;
            declare(model, &home, &name)
        }),
        case("library-deleted", ONE, "its one user was mended", |model| delete_library(model, "libs/own-0000")),
        case("library-moved", ONE, "its one user finds its files elsewhere", |model| {
            move_project(model, "libs/own-0000", "libs/shared/own-0000")
        }),
        case("library-renamed", ONE, "its one user knows the new name", |model| {
            workspace(model)?;
            let name = package_name(model.tool, "renamed");
            rename_package(model, "libs/own-0000", &name, true)
        }),
        case("library-renamed-alone", ONE, "its one user still knows the old name, which leads nowhere", |model| {
            only_node(model)?;
            rename_package(model, "libs/own-0000", "@acme/renamed", false)
        }),
    ]
}

fn names() -> Vec<Case> {
    vec![
        case("service-added", ONE, "it is new", |model| add_service(model, "svc-new", "svc-0000")),
        case("service-deleted", NOBODY, "nobody needs it", |model| {
            let key = format!("svc-{:04}", free(model)?);
            delete_service(model, &key)
        }),
        case("service-renamed", ONE, "another key is another service", |model| {
            rename_service(model, "svc-0000", "svc-other")
        }),
        case("service-moved", ONE, "its files are elsewhere", |model| {
            let home = home(model, 0)?;
            move_project(model, &home, "services/svc-0000")
        }),
        case("service-deleted-and-library-changed", NOBODY, "the only user of the library is gone", |model| {
            let index = free(model)?;
            delete_service(model, &format!("svc-{index:04}"))?;
            touch_root(model, &format!("libs/own-{index:04}"))
        }),
    ]
}

fn direct() -> External {
    External { name: external_name(100), major: 1 }
}

/// An external that is resolved below the direct one, and that not everybody has.
fn transitive(model: &Model) -> Option<External> {
    let needs = &model.externals.get(&direct())?.needs;
    let everybodys: Vec<String> = (TWO_MAJORS..TWO_MAJORS + 3).map(external_name).collect();
    let name = needs.keys().find(|name| !everybodys.contains(name))?;
    Some(External { name: name.clone(), major: needs[name] })
}

fn service(model: &mut Model, index: usize) -> Option<&mut Service> {
    model.services.get_mut(&format!("svc-{index:04}"))
}

fn home(model: &Model, index: usize) -> Option<String> {
    Some(model.services.get(&format!("svc-{index:04}"))?.home.clone())
}

/// A service that no other one is built upon.
fn free(model: &Model) -> Option<usize> {
    (model.services.len() > 2).then_some(2)
}

/// The service at the end of the chain of three that start from each other's images.
fn chain_end(model: &Model) -> Option<usize> {
    (model.services.len() >= 10).then(|| model.services.len() - 1)
}

/// Without a workspace, what belongs to a service is what its table names, specs and docs included: nothing to be told here.
fn workspace(model: &Model) -> Option<()> {
    (model.tool != Tool::Plain).then_some(())
}
