//! Adds the certificates of a FIDO device onboarding server.

use std::os::unix::fs::PermissionsExt;

use anyhow::Result;
use osbuild_stage_api::{NoOptions, StageContext, StageModule};

use crate::shared::only_file::only_file;

pub(crate) const STAGE: StageModule =
    StageModule::new::<NoOptions>("org.osbuild.fdo", include_str!("fdo.meta.json"), run);

const FILE: &str = "/fdo_diun_pub_key_root_certs.pem";
/// The bits of a mode that are permissions.
const PERMISSIONS: u32 = 0o7777;

fn run(context: &StageContext) -> Result<()> {
    let certificates = only_file(context, "rootcerts")?;
    let tree = context.tree_path()?;
    tree.write(FILE, fs_err::read(&certificates)?)?;
    let mode = fs_err::metadata(&certificates)?.permissions().mode();
    tree.chmod(FILE, mode & PERMISSIONS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn the_file_is_copied_with_its_mode() {
        let data = json!({"files": {"sha256:00": {}}});
        let test =
            StageTest::new(&STAGE, json!({})).input("rootcerts", &[("sha256:00", b"cert")], data);
        let source = test.workspace().join("inputs/rootcerts/sha256:00");
        fs_err::set_permissions(source, PermissionsExt::from_mode(0o440)).unwrap();
        assert_eq!(
            test.run().success().tree,
            "fdo_diun_pub_key_root_certs.pem 0440 \"cert\"\n"
        );
    }

    #[test]
    fn there_must_be_one_file() {
        let data = json!({"files": {"a": {}, "b": {}}});
        let test = StageTest::new(&STAGE, json!({})).input("rootcerts", &[], data);
        assert_eq!(
            test.run().error(),
            "ValueError: the input `rootcerts` must offer one file, but offers 2"
        );
    }
}
