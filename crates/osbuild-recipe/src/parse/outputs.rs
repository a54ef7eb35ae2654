//! Reads `outputs`.

use std::collections::HashSet;

use super::identity_names::is_file_name;
use crate::node::{Node, NodeKind};
use crate::problem::{Place, Problems, RecipeError};
use crate::recipe::{Output, OutputFormat};
use crate::section::{Section, Text, choose};

/// The outputs of a recipe; one qcow2 image unless told.
pub(super) fn outputs(
    section: &mut Section<'_>,
    name: &str,
    problems: &mut Problems,
) -> Vec<Output> {
    let Some(node) = section.get("outputs") else {
        return vec![output(OutputFormat::Qcow2, None, name, section.place())];
    };
    let nodes = crate::section::list(node, "outputs", problems);
    if let (NodeKind::List(_), []) = (&node.kind, nodes) {
        problems.add(RecipeError::new(node.place, "`outputs` is empty"));
    }
    let outputs: Vec<Output> = nodes
        .iter()
        .filter_map(|node| read(node, name, problems))
        .collect();
    check_unique(&outputs, problems);
    outputs
}

/// An output is its format alone, or a mapping.
fn read(node: &Node, name: &str, problems: &mut Problems) -> Option<Output> {
    if let NodeKind::Text(value) = &node.kind {
        let word = Text {
            value: value.clone(),
            place: node.place,
        };
        let format = choose(&word, "outputs", &OutputFormat::ALL, problems)?;
        return Some(output(format, None, name, node.place));
    }
    let mut section = Section::open(node, "outputs", problems)?;
    section.require("format", problems);
    let format = section.choice("format", &OutputFormat::ALL, problems);
    let file = section.text("file", problems);
    let place = section.place();
    let compress_place = section.get("compress").map(|node| node.place);
    let compress = section.boolean("compress", problems);
    section.finish(problems);
    if let (Some(place), Some(format)) = (compress_place, format)
        && format != OutputFormat::Qcow2
    {
        problems.add(
            RecipeError::new(place, "only `qcow2` images can `compress` themselves")
                .hint("choose a format like `raw.zst` or `tar.xz`"),
        );
    }
    if let Some(file) = file.as_ref().filter(|file| !is_file_name(&file.value)) {
        problems.add(
            RecipeError::new(file.place, format!("`{}` is not a file name", file.value))
                .hint("name a file; the folder is chosen by `osbuild build --output`"),
        );
    }
    let output = output(format?, file.map(|file| file.value), name, place);
    Some(Output {
        compress: compress == Some(true),
        ..output
    })
}

fn output(format: OutputFormat, file: Option<String>, name: &str, place: Place) -> Output {
    let usual_name = || match format {
        OutputFormat::Directory => name.to_owned(),
        _ => format!("{name}.{}", format.word()),
    };
    Output {
        format,
        file_name: file.unwrap_or_else(usual_name),
        compress: false,
        place,
    }
}

fn check_unique(outputs: &[Output], problems: &mut Problems) {
    let (mut formats, mut names) = (HashSet::new(), HashSet::new());
    for output in outputs {
        let word = output.format.word();
        if !formats.insert(word) {
            let message = format!("output format `{word}` is named twice");
            problems.add(RecipeError::new(output.place, message));
        }
        if !names.insert(&output.file_name) {
            let message = format!("output file `{}` is named twice", output.file_name);
            problems.add(RecipeError::new(output.place, message));
        }
    }
}
