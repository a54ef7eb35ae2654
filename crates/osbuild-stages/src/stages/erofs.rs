//! Makes an EROFS image of a tree.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;
use serde_json::Number;

use crate::shared::image_source::image_source;

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.erofs", include_str!("erofs.meta.json"), run);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    filename: String,
    source: Option<String>,
    #[serde(default)]
    exclude_paths: Vec<String>,
    compression: Option<Compression>,
    #[serde(rename = "cluster-size")]
    cluster_size: Option<Number>,
    #[serde(default, rename = "options")]
    features: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Compression {
    method: String,
    level: Option<Number>,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let source = image_source(context, options.source.as_deref())?;
    context
        .command("mkfs.erofs")
        .arg(context.tree_path()?.target_path(&options.filename)?)
        .arg(source)
        .arg("--quiet")
        .args(arguments(&options))
        .run()
}

fn arguments(options: &Options) -> Vec<String> {
    let is_set = |number: &&Number| number.as_f64() != Some(0.0);
    let mut arguments = Vec::new();
    if let Some(Compression { method, level }) = &options.compression {
        let level = level.as_ref().filter(is_set);
        let level = level.map(|level| format!(",{level}")).unwrap_or_default();
        arguments.extend(["-z".to_owned(), format!("{method}{level}")]);
    }
    if !options.features.is_empty() {
        arguments.extend(["-E".to_owned(), options.features.join(",")]);
    }
    if let Some(size) = options.cluster_size.as_ref().filter(is_set) {
        arguments.extend(["-C".to_owned(), size.to_string()]);
    }
    for expression in &options.exclude_paths {
        arguments.extend(["--exclude-regex".to_owned(), expression.clone()]);
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::{Value, json};

    fn test_with(options: Value) -> StageTest {
        StageTest::new(&STAGE, options)
            .input("tree", &[("a/b", b"")], Value::Null)
            .mount("root")
            .program("mkfs.erofs", "true")
    }

    #[test]
    fn options_become_arguments() {
        let all = json!({
            "filename": "/x.img", "source": "input://tree/a/", "exclude_paths": ["tmp/.*", "^b"],
            "compression": {"method": "zstd", "level": 8}, "cluster-size": 65536, "options": ["dedupe", "fragments"]
        });
        for (options, log) in [
            (
                all,
                "$ mkfs.erofs TREE/x.img INPUTS/tree/a --quiet -z zstd,8 -E dedupe,fragments -C 65536 \
                 --exclude-regex 'tmp/.*' --exclude-regex ^b\n",
            ),
            (
                json!({"filename": "x", "compression": {"method": "lz4"}, "source": "mount://root/"}),
                "$ mkfs.erofs TREE/x MOUNTS/root --quiet -z lz4\n",
            ),
            (
                json!({"filename": "x"}),
                "$ mkfs.erofs TREE/x INPUTS/tree --quiet\n",
            ),
        ] {
            assert_eq!(test_with(options).run().success().log, log);
        }
    }

    #[test]
    fn the_source_stays_in_its_mount() {
        let test = test_with(json!({"filename": "x", "source": "mount://root/a"}));
        std::os::unix::fs::symlink("/etc", test.mounts().join("root/a")).unwrap();
        assert_eq!(
            test.run().error().split(':').next(),
            Some("FileNotFoundError")
        );
    }
}
