//! Settings of Red Hat's subscription manager.

use serde_json::{Map, Value, json};

use super::syntax;

/// Reports the plug-ins of dnf and `rhsm.conf`, each if it is there.
pub(super) fn report(text: impl Fn(&str) -> Option<String>) -> Value {
    let mut told = Map::new();
    let mut plugins = Map::new();
    for name in ["product-id", "subscription-manager"] {
        let settings = text(&format!("etc/dnf/plugins/{name}.conf")).unwrap_or_default();
        let settings = lower_case(syntax::ini(&settings));
        let enabled = settings
            .get("main")
            .and_then(|main| truth(main["enabled"].as_str()?));
        if let Some(enabled) = enabled {
            plugins.insert(name.to_owned(), json!({ "enabled": enabled }));
        }
    }
    if !plugins.is_empty() {
        told.insert("dnf-plugins".to_owned(), Value::Object(plugins));
    }
    if let Some(settings) = text("etc/rhsm/rhsm.conf") {
        let settings = lower_case(syntax::ini(&settings));
        told.insert("rhsm.conf".to_owned(), Value::Object(settings));
    }
    Value::Object(told)
}

/// Names of options in lower case, as Python's `ConfigParser` has them.
fn lower_case(sections: Map<String, Value>) -> Map<String, Value> {
    let lower = |options: Value| match options {
        Value::Object(options) => options
            .into_iter()
            .map(|(name, value)| (name.to_lowercase(), value))
            .collect(),
        other => other,
    };
    let sections = sections.into_iter();
    sections
        .map(|(name, options)| (name, lower(options)))
        .collect()
}

/// What Python's `getboolean` takes for yes and no.
fn truth(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "1" | "yes" | "true" | "on" => Some(true),
        "0" | "no" | "false" | "off" => Some(false),
        _ => None,
    }
}
