//! Requests, as upstream's tool takes them, with its messages.

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::Refusal;

/// The version of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

#[derive(Debug)]
pub(super) struct Request {
    pub(super) version: Version,
    pub(super) command: Command,
    pub(super) architecture: String,
    pub(super) cache: PathBuf,
    pub(super) proxy: Option<String>,
    pub(super) repositories: Vec<Repository>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Depsolve(Vec<Transaction>),
    Dump,
    Search { names: Vec<String>, is_latest: bool },
}

/// What is to be installed at one time, on top of those before.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Transaction {
    pub(super) specs: Vec<String>,
    pub(super) exclude: Vec<String>,
    /// The repositories to take packages from; all if there are none.
    pub(super) repositories: Vec<String>,
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "the fields of the request are such"
)]
#[derive(Debug)]
pub(super) struct Repository {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) addresses: Vec<String>,
    pub(super) metalink: Value,
    pub(super) mirrorlist: Value,
    pub(super) is_checked: bool,
    pub(super) keys: Vec<String>,
    pub(super) expiry: String,
    pub(super) has_hotfixes: bool,
    pub(super) is_enabled: bool,
    pub(super) may_be_missing: bool,
}

/// What the values of a repository may be, with Python's names of the types.
const REPOSITORY_FIELDS: [(&str, &str); 18] = [
    ("id", "str"),
    ("name", "str"),
    ("metalink", "str or None"),
    ("mirrorlist", "str or None"),
    ("gpgcheck", "bool or None"),
    ("repo_gpgcheck", "bool or None"),
    ("sslverify", "bool or None"),
    ("sslcacert", "str or None"),
    ("sslclientkey", "str or None"),
    ("sslclientcert", "str or None"),
    ("metadata_expire", "str or None"),
    ("module_hotfixes", "bool or None"),
    ("rhsm", "bool"),
    ("enabled", "bool or None"),
    ("username", "str or None"),
    ("password", "str or None"),
    ("skip_if_unavailable", "bool or None"),
    ("priority", "int or None"),
];
/// Upstream's, not dnf's.
const EXPIRY: &str = "20s";
/// dnf's, and so nothing special.
const PRIORITY: u64 = 99;
/// dnf's.
const COST: u64 = 1000;

impl Request {
    pub(super) fn parse(document: &Value) -> Result<Self, Refusal> {
        let document = document
            .as_object()
            .ok_or_else(|| Refusal::invalid("the request is no object"))?;
        let version = version(document)?;
        for field in ["command", "arch", "releasever", "cachedir", "arguments"] {
            if !document.contains_key(field) {
                return Err(Refusal::invalid(format!(
                    "Missing required field '{field}'"
                )));
            }
        }
        let command = &document["command"];
        if !["depsolve", "dump", "search"].contains(&command.as_str().unwrap_or_default()) {
            let command = plain(command);
            return Err(Refusal::invalid(format!(
                "Invalid command '{command}': must be one of depsolve, dump, search"
            )));
        }
        let arguments = document["arguments"]
            .as_object()
            .ok_or_else(|| Refusal::invalid("Field 'arguments' must be a dict"))?;
        let repositories = repositories(arguments, version)?;
        let parsed = parse_command(command.as_str().unwrap_or_default(), arguments, version)?;
        for field in ["arch", "cachedir"] {
            if document[field].as_str().is_none_or(str::is_empty) {
                return Err(Refusal::invalid(format!("Field '{field}' is required")));
            }
        }
        if is_set(arguments, "root_dir") {
            return Err(Refusal::missing("reading the repositories of a root_dir"));
        }
        if repositories.is_empty() {
            return Err(Refusal::invalid("No 'repos' or 'root_dir' specified"));
        }
        Ok(Self {
            version,
            command: parsed,
            architecture: text(document, "arch").unwrap_or_default(),
            cache: PathBuf::from(text(document, "cachedir").unwrap_or_default()),
            proxy: text(document, "proxy").filter(|proxy| !proxy.is_empty()),
            repositories,
        })
    }
}

fn version(document: &Map<String, Value>) -> Result<Version, Refusal> {
    match document.get("api_version") {
        None => Ok(Version::One),
        Some(version) if version.as_u64() == Some(1) => Ok(Version::One),
        Some(version) if version.as_u64() == Some(2) => Ok(Version::Two),
        Some(other) => Err(Refusal::invalid(format!(
            "Invalid API version: {other} is not a valid SolverAPIVersion"
        ))),
    }
}

fn parse_command(
    command: &str,
    arguments: &Map<String, Value>,
    version: Version,
) -> Result<Command, Refusal> {
    let is_read = |field: &str, of: &str| {
        arguments.contains_key(field) && (command == of || version == Version::Two)
    };
    let mut transactions = Vec::new();
    if is_read("transactions", "depsolve") {
        let items = arguments["transactions"]
            .as_array()
            .ok_or_else(|| Refusal::invalid("Field 'transactions' must be a list"))?;
        for item in items {
            transactions.push(transaction(item, version)?);
        }
    }
    let search = if is_read("search", "search") {
        Some(search(&arguments["search"])?)
    } else {
        None
    };
    if let Some(bill) = arguments.get("sbom") {
        return Err(match bill.get("type").and_then(Value::as_str) {
            None if !bill.is_object() => Refusal::invalid("Field 'sbom' must be a dict"),
            None => Refusal::invalid("Missing required field 'type' in 'sbom'"),
            Some("spdx") if command == "depsolve" => Refusal::missing("a bill of materials (sbom)"),
            Some("spdx") => {
                Refusal::invalid("Field 'sbom' is only supported with 'depsolve' command")
            }
            Some(other) => Refusal::invalid(format!(
                "Unsupported SBOM type '{other}'. Supported types: spdx"
            )),
        });
    }
    if command != "depsolve" && !transactions.is_empty() {
        let reason = "Depsolve arguments are only supported with 'depsolve' command";
        return Err(Refusal::invalid(reason));
    }
    match (command, search) {
        ("depsolve", None) if transactions.is_empty() => {
            Err(Refusal::invalid("Depsolve command requires arguments"))
        }
        ("depsolve", None) => Ok(Command::Depsolve(transactions)),
        ("dump", None) => Ok(Command::Dump),
        ("search", Some(search)) => Ok(search),
        ("search", None) => Err(Refusal::invalid("Search command requires arguments")),
        (_, Some(_)) => Err(Refusal::invalid(
            "Search arguments are only supported with 'search' command",
        )),
        _ => Err(Refusal::invalid("Field 'command' is required")),
    }
}

fn transaction(item: &Value, version: Version) -> Result<Transaction, Refusal> {
    let wrong = |reason: &str| Refusal::invalid(format!("Invalid depsolve transaction: {reason}"));
    let fields = item
        .as_object()
        .ok_or_else(|| wrong("Depsolve transaction must be a dict"))?;
    let list = |field: &str| match fields.get(field) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(value) => {
            texts(value).ok_or_else(|| wrong(&format!("'{field}' must be a list of strings")))
        }
    };
    let specs = list("package-specs")?;
    if specs.is_empty() && version == Version::Two {
        let reason = "Depsolve transaction must contain at least one package specification";
        return Err(wrong(reason));
    }
    if !list("module-enable-specs")?.is_empty() {
        return Err(Refusal::missing("enabling modules"));
    }
    if is_set(fields, "install_weak_deps") {
        return Err(Refusal::missing("installing weak dependencies"));
    }
    Ok(Transaction {
        specs,
        exclude: list("exclude-specs")?,
        repositories: list("repo-ids")?,
    })
}

fn search(value: &Value) -> Result<Command, Refusal> {
    let fields = value
        .as_object()
        .ok_or_else(|| Refusal::invalid("Field 'search' must be a dict"))?;
    let packages = fields
        .get("packages")
        .ok_or_else(|| Refusal::invalid("Missing required field 'packages' in 'search' dict"))?;
    let names =
        texts(packages).ok_or_else(|| Refusal::invalid("Field 'packages' must be a list"))?;
    if names.is_empty() {
        let reason = "Search command must contain at least one package specification";
        return Err(Refusal::invalid(reason));
    }
    let is_latest = is_set(fields, "latest");
    Ok(Command::Search { names, is_latest })
}

fn repositories(
    arguments: &Map<String, Value>,
    version: Version,
) -> Result<Vec<Repository>, Refusal> {
    let Some(items) = arguments.get("repos") else {
        return Ok(Vec::new());
    };
    let items = items
        .as_array()
        .ok_or_else(|| Refusal::invalid("Field 'repos' must be a list"))?;
    let repositories = items.iter().map(|item| repository(item, version));
    repositories.collect()
}

fn repository(item: &Value, version: Version) -> Result<Repository, Refusal> {
    let wrong = |reason: String| Refusal::invalid(format!("Invalid repository config: {reason}"));
    let fields = item
        .as_object()
        .ok_or_else(|| wrong("Repository config must be a dict".to_owned()))?;
    let id = fields.get("id").ok_or_else(|| {
        Refusal::invalid("Missing required field 'id' in 'repos' item configuration")
    })?;
    for (field, expected) in REPOSITORY_FIELDS {
        let Some(value) = fields.get(field) else {
            continue;
        };
        let found = python_type(value);
        if !expected.split(" or ").any(|name| name == found.0) {
            let field = if field == "id" { "repo_id" } else { field };
            let found = found.1;
            return Err(wrong(format!(
                "Repository.{field}: expected {expected}, got {found}"
            )));
        }
    }
    let list = |field: &str| match fields.get(field) {
        None => Ok(Vec::new()),
        Some(value) => texts(value).ok_or_else(|| {
            let what = if field == "baseurl" {
                "a list of URLs"
            } else {
                "a list"
            };
            let found = python_type(value).1;
            wrong(format!("'{field}' must be {what}, got {found}"))
        }),
    };
    let addresses = list("baseurl")?;
    if addresses.is_empty() && !is_set(fields, "metalink") && !is_set(fields, "mirrorlist") {
        let reason = "At least one of 'baseurl', 'metalink', or 'mirrorlist' must be specified";
        return Err(wrong(reason.to_owned()));
    }
    let keys = match version {
        Version::One => text(fields, "gpgkey")
            .into_iter()
            .chain(list("gpgkeys")?)
            .collect(),
        Version::Two => list("gpgkey")?,
    };
    refuse_unknown(fields, &addresses, version)?;
    let id = plain(id);
    let value = |field: &str| fields.get(field).cloned().unwrap_or(Value::Null);
    let of_two = |field: &str, default: bool| match fields.get(field).and_then(Value::as_bool) {
        Some(value) if version == Version::Two => value,
        _ => default,
    };
    Ok(Repository {
        name: text(fields, "name")
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| id.clone()),
        id,
        addresses,
        metalink: value("metalink"),
        mirrorlist: value("mirrorlist"),
        is_checked: is_set(fields, "gpgcheck"),
        keys,
        expiry: text(fields, "metadata_expire").unwrap_or_else(|| EXPIRY.to_owned()),
        has_hotfixes: is_set(fields, "module_hotfixes"),
        is_enabled: of_two("enabled", true),
        may_be_missing: of_two("skip_if_unavailable", false),
    })
}

/// Refuses what would silently be left out.
fn refuse_unknown(
    fields: &Map<String, Value>,
    addresses: &[String],
    version: Version,
) -> Result<(), Refusal> {
    let of_both = [
        "repo_gpgcheck",
        "sslcacert",
        "sslclientkey",
        "sslclientcert",
    ];
    let of_two = ["rhsm", "username", "password"];
    let refused = of_both
        .iter()
        .chain(of_two.iter().filter(|_| version == Version::Two));
    let mut refused = refused.filter(|field| is_set(fields, field));
    if let Some(field) = refused.next() {
        return Err(Refusal::missing(&format!("`{field}` of repositories")));
    }
    let differs = |field: &str, default: u64| {
        fields
            .get(field)
            .is_some_and(|value| !value.is_null() && value.as_u64() != Some(default))
    };
    if version == Version::Two && (differs("priority", PRIORITY) || differs("cost", COST)) {
        return Err(Refusal::missing("a priority or cost of repositories"));
    }
    if fields.get("sslverify") == Some(&Value::Bool(false)) {
        return Err(Refusal::missing(
            "a connection without verification (sslverify)",
        ));
    }
    if addresses.is_empty() || is_set(fields, "metalink") || is_set(fields, "mirrorlist") {
        return Err(Refusal::missing(
            "reading repositories by metalink or mirrorlist",
        ));
    }
    Ok(())
}

/// Whether a value is there that counts as true in Python.
fn is_set(fields: &Map<String, Value>, field: &str) -> bool {
    fields.get(field).is_some_and(|value| match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    })
}

fn text(fields: &Map<String, Value>, field: &str) -> Option<String> {
    fields.get(field).and_then(Value::as_str).map(str::to_owned)
}

fn texts(value: &Value) -> Option<Vec<String>> {
    let items = value.as_array()?.iter();
    items.map(|item| item.as_str().map(str::to_owned)).collect()
}

/// A value without quotation marks.
fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// What Python calls a value of this kind: as one that is expected, and as its type.
fn python_type(value: &Value) -> (&'static str, &'static str) {
    match value {
        Value::Null => ("None", "NoneType"),
        Value::Bool(_) => ("bool", "bool"),
        Value::Number(number) if number.is_f64() => ("float", "float"),
        Value::Number(_) => ("int", "int"),
        Value::String(_) => ("str", "str"),
        Value::Array(_) => ("list", "list"),
        Value::Object(_) => ("dict", "dict"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request() -> Value {
        json!({
            "command": "depsolve", "arch": "x86_64", "releasever": "1", "cachedir": "/c",
            "arguments": {
                "repos": [{ "id": "r", "baseurl": ["file:///r"] }],
                "transactions": [{ "package-specs": ["a"], "repo-ids": ["r"] }],
            },
        })
    }

    #[test]
    fn both_versions_are_read() {
        for version in [1, 2] {
            let mut document = request();
            document["api_version"] = version.into();
            let request = Request::parse(&document).unwrap();
            let transaction = Transaction {
                specs: vec!["a".to_owned()],
                exclude: Vec::new(),
                repositories: vec!["r".to_owned()],
            };
            assert_eq!(request.command, Command::Depsolve(vec![transaction]));
            assert_eq!(request.repositories[0].name, "r");
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_upstreams_words() {
        let repository = |value: Value| ("/arguments/repos/0", value);
        for ((place, value), reason) in [
            (
                ("/command", json!("x")),
                "Invalid command 'x': must be one of depsolve, dump, search",
            ),
            (
                ("/arguments", json!([])),
                "Field 'arguments' must be a dict",
            ),
            (
                ("/arguments/repos", json!({})),
                "Field 'repos' must be a list",
            ),
            (
                ("/arguments/repos", json!([])),
                "No 'repos' or 'root_dir' specified",
            ),
            (
                ("/arguments/transactions", json!([])),
                "Depsolve command requires arguments",
            ),
            (("/arch", json!("")), "Field 'arch' is required"),
            (
                repository(json!({})),
                "Missing required field 'id' in 'repos' item configuration",
            ),
            (
                repository(json!({ "id": "r", "baseurl": "u" })),
                "Invalid repository config: 'baseurl' must be a list of URLs, got str",
            ),
            (
                repository(json!({ "id": "r", "baseurl": ["u"], "gpgcheck": "yes" })),
                "Invalid repository config: Repository.gpgcheck: expected bool or None, got str",
            ),
        ] {
            let mut document = request();
            *document.pointer_mut(place).unwrap() = value;
            let refusal = Request::parse(&document).unwrap_err();
            assert_eq!(refusal, Refusal::invalid(reason));
        }
    }

    #[test]
    fn what_is_not_there_yet_is_refused() {
        for (place, value) in [
            (
                "/arguments/transactions/0",
                json!({ "package-specs": ["a"], "install_weak_deps": true }),
            ),
            (
                "/arguments/transactions/0",
                json!({ "package-specs": ["a"], "module-enable-specs": ["m"] }),
            ),
            ("/arguments/repos/0", json!({ "id": "r", "metalink": "u" })),
            (
                "/arguments/repos/0",
                json!({ "id": "r", "baseurl": ["u"], "repo_gpgcheck": true }),
            ),
        ] {
            let mut document = request();
            *document.pointer_mut(place).unwrap() = value;
            let refusal = Request::parse(&document).unwrap_err();
            assert_eq!(refusal.kind, "NotImplementedError", "{}", refusal.reason);
        }
    }
}
