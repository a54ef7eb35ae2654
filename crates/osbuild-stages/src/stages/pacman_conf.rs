//! Configures pacman.

use std::fmt::Write;

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.pacman.conf",
    include_str!("pacman_conf.meta.json"),
    run,
);

const FILE: &str = "/etc/pacman.conf";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default = "usual_architecture")]
    architecture: String,
    #[serde(default)]
    repositories: Vec<Repository>,
}

/// The schema lets unknown keys pass here, and so does upstream.
#[derive(Debug, Deserialize)]
struct Repository {
    name: String,
    #[serde(default)]
    siglevels: Vec<String>,
    server: Option<String>,
    include: Option<String>,
}

fn usual_architecture() -> String {
    "x86_64".to_owned()
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let tree = context.tree_path()?;
    tree.create_dir_all("/etc")?;
    tree.write(FILE, text(&options)?)
}

fn text(options: &Options) -> Result<String> {
    let mut text = format!(
        "\n[options]\nArchitecture = {}\nSigLevel    = Required DatabaseOptional\nLocalFileSigLevel = Optional\n",
        options.architecture
    );
    for repository in &options.repositories {
        writeln!(text, "[{}]", repository.name)?;
        if !repository.siglevels.is_empty() {
            writeln!(text, "SigLevel = {}", repository.siglevels.join(" "))?;
        }
        for (name, value) in [
            ("Server", &repository.server),
            ("Include", &repository.include),
        ] {
            if let Some(value) = value {
                writeln!(text, "{name} = {value}")?;
            }
        }
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_architecture_has_a_default() {
        let options = serde_json::from_str("{}").unwrap();
        assert!(
            text(&options)
                .unwrap()
                .contains("\nArchitecture = x86_64\n")
        );
    }
}
