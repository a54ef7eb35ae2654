//! Writes the address and size of an initrd for s390x.

use anyhow::{Context, Result};
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.createaddrsize",
    include_str!("createaddrsize.meta.json"),
    run,
);

/// Where s390x kernels expect the initrd: Lorax never had another.
const INITRD_ADDRESS: i32 = 0x0200_0000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    initrd: String,
    addrsize: String,
}

fn run(context: &StageContext) -> Result<()> {
    let Options { initrd, addrsize } = context.options()?;
    let tree = context.tree_path()?;
    let size = i32::try_from(tree.stat(&initrd)?.st_size)
        .with_context(|| format!("{initrd} is too large for the boot loader"))?;
    // Two words of 64 bits, the larger halves of which are never needed.
    let words = [0, INITRD_ADDRESS, 0, size].map(i32::to_be_bytes);
    tree.write(addrsize, words.concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    #[test]
    fn the_words_are_big_endian() {
        let options = json!({"initrd": "/images/initrd.img", "addrsize": "images/initrd.addrsize"});
        let test = StageTest::new(&STAGE, options).file("images/initrd.img", &"x".repeat(0x0102));
        test.run().success();
        assert_eq!(
            fs_err::read(test.path("images/initrd.addrsize")).unwrap(),
            [0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]
        );
    }

    #[test]
    fn the_initrd_must_be_there() {
        let ran = StageTest::new(&STAGE, json!({"initrd": "a", "addrsize": "b"})).run();
        assert_eq!(ran.error().split(':').next(), Some("FileNotFoundError"));
    }
}
