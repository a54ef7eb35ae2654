//! Writes checksums with a key beside files.

use std::path::Path;

use anyhow::{Context as _, Result};
use osbuild_stage_api::tree_root::FILE_MODE;
use osbuild_stage_api::{StageContext, StageModule};
use rustix::fs::OFlags;
use serde::Deserialize;

pub(crate) const STAGE: StageModule =
    StageModule::new::<Options>("org.osbuild.hmac", include_str!("hmac.meta.json"), run);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    paths: Vec<String>,
    algorithm: String,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { paths, algorithm } = context.options()?;
    let tree = context.tree_path()?;
    for path in &paths {
        let path = Path::new(path);
        let name = path
            .file_name()
            .with_context(|| format!("{} names no file", path.display()))?;
        let directory = path.parent().unwrap_or(Path::new("/"));
        let checksum = directory.join(format!(".{}.hmac", name.display()));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
        let file = tree.open_file(checksum, flags, FILE_MODE)?;
        context
            .command(format!("{algorithm}hmac"))
            // The checksum is looked for by the name alone.
            .arg(name)
            .current_dir(tree.real_path(directory)?)
            .write_to(file)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn the_checksum_is_beside_its_file() {
        let options = json!({"paths": ["/boot/vmlinuz", "/boot/b"], "algorithm": "sha512"});
        let ran = StageTest::new(&STAGE, options)
            .file("boot/vmlinuz", "")
            .program("sha512hmac", "echo 0123 $1")
            .run()
            .success();
        assert_eq!(
            ran.tree,
            "boot/ 0755\nboot/.b.hmac 0644 \"0123 b\\n\"\nboot/.vmlinuz.hmac 0644 \"0123 vmlinuz\\n\"\n\
             boot/vmlinuz 0644 \"\"\n"
        );
    }
}
