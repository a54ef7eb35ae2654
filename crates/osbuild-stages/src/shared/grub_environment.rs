//! GRUB's environment block, `grubenv`.

use std::fmt::Write;

use anyhow::Result;
use osbuild_stage_api::StageError;

/// GRUB writes to the block where it lies, so it has this size from the start: `GRUB_ENVBLK_DEFAULT_SIZE`.
const SIZE: usize = 1024;
const HEAD: &str = "# GRUB Environment Block\n";

/// Makes a block of variables, filled up to its size.
pub(crate) fn block(variables: &[(&str, &str)]) -> Result<String> {
    let mut text = HEAD.to_owned();
    for (name, value) in variables {
        writeln!(text, "{name}={value}").expect("writing to a string does not fail");
    }
    let length = text.chars().count();
    if length > SIZE {
        let problem =
            format!("GRUB's environment block has room for {SIZE} characters, not {length}");
        return Err(StageError::new("AssertionError", problem).into());
    }
    text.push_str(&"#".repeat(SIZE - length));
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_its_size() {
        let text = block(&[("a", "b c")]).unwrap();
        assert!(text.starts_with("# GRUB Environment Block\na=b c\n####"));
        assert_eq!(text.len(), SIZE);
        block(&[("a", &"x".repeat(SIZE))]).unwrap_err();
    }
}
