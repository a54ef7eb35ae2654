//! What the result says about the packages that are installed.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::programs::Programs;

/// Keys that every package has, and rpm's tags for them.
const NEEDED: [(&str, &str); 3] = [
    ("name", "NAME"),
    ("version", "VERSION"),
    ("release", "RELEASE"),
];
/// Keys that are null where a package has no such tag, or rpm does not know it.
const OPTIONAL: [(&str, &str); 8] = [
    ("epoch", "EPOCH"),
    ("arch", "ARCH"),
    ("sigmd5", "SIGMD5"),
    ("sha1header", "SHA1HEADER"),
    ("sha256header", "SHA256HEADER"),
    ("sha3_256header", "SHA3_256HEADER"),
    ("sigpgp", "SIGPGP"),
    ("siggpg", "SIGGPG"),
];

/// Lists the packages of the tree by name.
pub(super) fn packages(programs: &Programs<'_>) -> Result<Value> {
    let tags = programs.context.command("rpm").arg("--querytags").read()?;
    let tags = String::from_utf8_lossy(&tags);
    let format = query_format(&tags.split_whitespace().collect());
    let query = programs.rpm(&[]).arg("-qa");
    let answer = query.arg(format!("--qf={format}")).quiet().read()?;
    parse(&String::from_utf8_lossy(&answer))
}

/// One JSON object for each package, with a comma behind.
fn query_format(known_tags: &BTreeSet<&str>) -> String {
    let needed = NEEDED.map(|(key, tag)| format!("\"{key}\": \"%{{{tag}}}\""));
    let optional = OPTIONAL.map(|(key, tag)| {
        if known_tags.contains(tag) {
            format!("\"{key}\": %|{tag}?{{\"%{{{tag}}}\"}}:{{null}}|")
        } else {
            format!("\"{key}\": null")
        }
    });
    let members: Vec<String> = needed.into_iter().chain(optional).collect();
    format!("\\{{{}\\}},\\n", members.join(", "))
}

fn parse(answer: &str) -> Result<Value> {
    let list = answer.trim_end();
    let list = list.strip_suffix(',').unwrap_or(list);
    let mut packages: Vec<Value> =
        serde_json::from_str(&format!("[{list}]")).context("reading what rpm says of packages")?;
    packages.sort_by(|one, other| one["name"].as_str().cmp(&other["name"].as_str()));
    Ok(json!({ "packages": packages }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_that_rpm_does_not_know_are_null() {
        let format = query_format(&BTreeSet::from(["NAME", "EPOCH"]));
        assert_eq!(
            format,
            r#"\{"name": "%{NAME}", "version": "%{VERSION}", "release": "%{RELEASE}", "#.to_owned()
                + r#""epoch": %|EPOCH?{"%{EPOCH}"}:{null}|, "arch": null, "sigmd5": null, "#
                + r#""sha1header": null, "sha256header": null, "sha3_256header": null, "#
                + r#""sigpgp": null, "siggpg": null\},\n"#
        );
    }

    #[test]
    fn packages_are_sorted_by_name_and_equal_names_stay_in_order() {
        let answer = "{\"name\": \"b\"},\n{\"name\": \"a\", \"version\": \"2\"},\n\
                      {\"name\": \"a\", \"version\": \"1\"},\n";
        assert_eq!(
            parse(answer).unwrap(),
            json!({"packages": [
                {"name": "a", "version": "2"}, {"name": "a", "version": "1"}, {"name": "b"},
            ]})
        );
        assert_eq!(parse("").unwrap(), json!({"packages": []}));
        assert!(parse("{\"name\": \"b\"").is_err());
    }
}
