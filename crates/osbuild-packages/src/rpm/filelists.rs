//! The list of all files, `filelists.xml`.

use std::collections::HashMap;

use anyhow::Result;

use super::xml::{Element, Visitor, walk};

/// Files and directories by the digest of the package that has them.
pub(super) fn read(text: &str) -> Result<HashMap<String, Vec<String>>> {
    let mut reader = Reader::default();
    walk(text, &mut reader)?;
    Ok(reader.packages)
}

#[derive(Default)]
struct Reader {
    packages: HashMap<String, Vec<String>>,
    digest: String,
    files: Vec<String>,
}

impl Visitor for Reader {
    fn begin(&mut self, element: &Element) -> Result<()> {
        if element.name == "package" {
            element.require("pkgid")?.clone_into(&mut self.digest);
        }
        Ok(())
    }

    fn end(&mut self, name: &str, text: &str) -> Result<()> {
        match name {
            "file" => self.files.push(text.to_owned()),
            "package" => {
                let files = std::mem::take(&mut self.files);
                self.packages.insert(self.digest.clone(), files);
            }
            _ => {}
        }
        Ok(())
    }
}
