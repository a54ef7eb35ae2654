//! Makes manifests of both formats from the modules' schemas, whole and broken.

use serde_json::{Map, Value, json};

use crate::random::Random;

/// How deep generated options may nest.
const DEPTH: usize = 4;
const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// Texts that some schema asks for, and some that none does.
const TEXTS: [&str; 22] = [
    "a",
    "",
    "/",
    "/etc/hostname",
    "etc",
    "root",
    "name:tree",
    "name:missing",
    "tree:///etc",
    "input://tree/",
    "mount://root/boot",
    DIGEST,
    "sha256:0",
    "org.osbuild.noop",
    "org.osbuild.missing",
    "4f1a4d90-0ab6-4d0c-a5ef-5a6e0b4e8f5c",
    "10M",
    "2026-01-31",
    "0644",
    "é\u{1f4be}\u{7f}",
    "a\tb\nc\"\\",
    "true",
];

/// Makes documents.
#[derive(Debug)]
pub struct Generator<'a> {
    random: Random,
    schemas: &'a Value,
}

impl<'a> Generator<'a> {
    /// A generator that always makes the same documents of the same schemas for the same seed.
    ///
    /// The schemas are by class, name and format, as upstream's index has them.
    pub fn new(seed: u64, schemas: &'a Value) -> Self {
        Self {
            random: Random::new(seed),
            schemas,
        }
    }

    /// The text of one document.
    pub fn document(&mut self) -> String {
        let mut document = if self.random.percent(70) {
            self.format_2()
        } else {
            self.format_1()
        };
        // A third stays as it is.
        let mutations = self.random.below(3);
        for _ in 0..mutations {
            self.mutate(&mut document);
        }
        let text = document.to_string();
        if self.random.percent(12) {
            self.damaged(&text)
        } else {
            text
        }
    }

    fn format_1(&mut self) -> Value {
        let mut document = Map::new();
        let depth = self.random.below(3);
        document.insert("pipeline".to_owned(), self.pipeline_1(depth));
        if self.random.percent(50) {
            document.insert("sources".to_owned(), self.sources("1"));
        }
        document.into()
    }

    fn pipeline_1(&mut self, depth: usize) -> Value {
        let mut pipeline = Map::new();
        if depth > 0 {
            let runner = *self
                .random
                .pick(&["org.osbuild.fedora38", "org.osbuild.linux"]);
            pipeline.insert(
                "build".to_owned(),
                json!({"pipeline": self.pipeline_1(depth - 1), "runner": runner}),
            );
        }
        let count = self.random.below(4);
        let stages: Vec<Value> = (0..count)
            .map(|_| self.module("Stage", "1", "name"))
            .collect();
        if count > 0 || self.random.percent(50) {
            pipeline.insert("stages".to_owned(), stages.into());
        }
        if self.random.percent(60) {
            pipeline.insert(
                "assembler".to_owned(),
                self.module("Assembler", "1", "name"),
            );
        }
        pipeline.into()
    }

    fn format_2(&mut self) -> Value {
        let names = ["build", "tree", "image"];
        let count = 1 + self.random.below(names.len());
        let pipelines: Vec<Value> = (0..count)
            .map(|index| {
                let mut pipeline = Map::new();
                pipeline.insert("name".to_owned(), names[index].into());
                if index > 0 && self.random.percent(70) {
                    pipeline.insert("build".to_owned(), "name:build".into());
                }
                if self.random.percent(40) {
                    pipeline.insert("runner".to_owned(), "org.osbuild.linux".into());
                }
                if self.random.percent(10) {
                    pipeline.insert("source-epoch".to_owned(), self.number());
                }
                let stages = self.random.below(4);
                let stages: Vec<Value> =
                    (0..stages).map(|_| self.stage_2(&names[..index])).collect();
                pipeline.insert("stages".to_owned(), stages.into());
                pipeline.into()
            })
            .collect();
        let mut document = json!({"version": "2", "pipelines": pipelines});
        if self.random.percent(50) {
            document["sources"] = self.sources("2");
        }
        document
    }

    fn stage_2(&mut self, earlier: &[&str]) -> Value {
        let mut stage = self.module("Stage", "2", "type");
        if self.random.percent(30) {
            let mut input = if self.random.percent(60) && !earlier.is_empty() {
                let name = *self.random.pick(earlier);
                json!({"type": "org.osbuild.tree", "origin": "org.osbuild.pipeline",
                       "references": [format!("name:{name}")]})
            } else {
                let mut input = self.module("Input", "2", "type");
                input["origin"] = "org.osbuild.source".into();
                input["references"] = json!({DIGEST: {}});
                input
            };
            if self.random.percent(20) {
                input["options"] = json!({});
            }
            stage["inputs"] = json!({"tree": input});
        }
        if self.random.percent(25) {
            let device = self.module("Device", "2", "type");
            stage["devices"] = json!({"disk": device});
            if self.random.percent(50) {
                let mut mount = self.module("Mount", "2", "type");
                mount["name"] = "root".into();
                mount["source"] = "disk".into();
                mount["target"] = "/".into();
                stage["mounts"] = json!([mount]);
            }
        }
        stage
    }

    fn sources(&mut self, format: &str) -> Value {
        let mut sources = Map::new();
        let names: Vec<String> = self.names("Source");
        let name = self.random.pick(&names).clone();
        let schema = self.schemas["Source"][&name][format].clone();
        sources.insert(name, self.value(&schema, &schema, DEPTH));
        if self.random.percent(40) {
            sources.insert(
                "org.osbuild.inline".to_owned(),
                json!({"items": {DIGEST: {"encoding": "base64", "data": ""}}}),
            );
        }
        sources.into()
    }

    fn names(&self, class: &str) -> Vec<String> {
        self.schemas[class]
            .as_object()
            .map(|modules| modules.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// A stage, an assembler, an input, … with options as its schema wants them.
    fn module(&mut self, class: &str, format: &str, key: &str) -> Value {
        let names = self.names(class);
        let name = self.random.pick(&names).clone();
        let schema = self.schemas[class][&name][format].clone();
        let mut module = match self.value(&schema, &schema, DEPTH) {
            Value::Object(module) => module,
            _ => Map::new(),
        };
        // The schema describes the whole module; these are what the document has to say itself.
        for placed in [
            "name",
            "type",
            "inputs",
            "devices",
            "mounts",
            "origin",
            "references",
        ] {
            module.remove(placed);
        }
        module.insert(key.to_owned(), name.into());
        module.into()
    }

    /// A value that a schema accepts, as far as that is seen from its commoner keywords.
    fn value(&mut self, schema: &Value, root: &Value, depth: usize) -> Value {
        if let Some(reference) = schema["$ref"].as_str() {
            let target = reference
                .strip_prefix('#')
                .and_then(|path| root.pointer(path));
            return match target {
                Some(target) if depth > 0 => self.value(&target.clone(), root, depth - 1),
                _ => self.any(),
            };
        }
        for keyword in ["oneOf", "anyOf", "allOf"] {
            if let Some(choices) = schema[keyword].as_array().filter(|list| !list.is_empty()) {
                let mut merged = self.random.pick(choices).clone();
                if let (Some(merged), Some(own)) = (merged.as_object_mut(), schema.as_object()) {
                    for (key, value) in own.iter().filter(|(key, _)| *key != keyword) {
                        merged.entry(key.clone()).or_insert_with(|| value.clone());
                    }
                }
                return self.value(&merged, root, depth);
            }
        }
        if let Some(constant) = schema.get("const") {
            return constant.clone();
        }
        if let Some(choices) = schema["enum"].as_array().filter(|list| !list.is_empty()) {
            return self.random.pick(choices).clone();
        }
        let kind = match &schema["type"] {
            Value::String(kind) => kind.clone(),
            Value::Array(kinds) if !kinds.is_empty() => {
                let kind = self.random.pick(kinds).clone();
                kind.as_str().unwrap_or("null").to_owned()
            }
            _ if schema.get("properties").is_some() => "object".to_owned(),
            _ => return self.any(),
        };
        match kind.as_str() {
            "object" => self.object(schema, root, depth),
            "array" => {
                let least = schema["minItems"].as_u64().unwrap_or(0) as usize;
                let count = if depth == 0 {
                    least
                } else {
                    least + self.random.below(3)
                };
                let items = &schema["items"];
                let list: Vec<Value> = (0..count)
                    .map(|_| self.value(items, root, depth.saturating_sub(1)))
                    .collect();
                list.into()
            }
            "integer" | "number" => schema
                .get("minimum")
                .cloned()
                .unwrap_or_else(|| self.number()),
            "boolean" => self.random.percent(50).into(),
            "null" => Value::Null,
            _ => (*self.random.pick(&TEXTS)).into(),
        }
    }

    fn object(&mut self, schema: &Value, root: &Value, depth: usize) -> Value {
        let mut object = Map::new();
        let required: Vec<&str> = schema["required"]
            .as_array()
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        if let Some(properties) = schema["properties"].as_object() {
            for (name, property) in properties {
                if required.contains(&name.as_str()) || (depth > 0 && self.random.percent(35)) {
                    let value = self.value(property, root, depth.saturating_sub(1));
                    object.insert(name.clone(), value);
                }
            }
        }
        let further = ["patternProperties", "additionalProperties"];
        for keyword in further {
            let inner = match &schema[keyword] {
                Value::Object(patterns) if keyword == "patternProperties" => {
                    patterns.values().next().cloned()
                }
                Value::Object(_) => Some(schema[keyword].clone()),
                _ => None,
            };
            if let Some(inner) = inner.filter(|_| depth > 0 && self.random.percent(60)) {
                let name = (*self.random.pick(&TEXTS)).to_owned();
                let value = self.value(&inner, root, depth - 1);
                object.insert(name, value);
            }
        }
        object.into()
    }

    fn number(&mut self) -> Value {
        match self.random.below(9) {
            0 => json!(0),
            1 => json!(1),
            2 => json!(-1),
            3 => json!(1.5),
            4 => json!(1.0),
            5 => json!(1e300),
            6 => json!(u64::MAX),
            7 => json!(i64::MIN),
            _ => json!(self.random.below(5000)),
        }
    }

    fn any(&mut self) -> Value {
        match self.random.below(8) {
            0 => Value::Null,
            1 => json!(true),
            2 => self.number(),
            3 => json!([]),
            4 => json!({}),
            5 => json!(["a", 1, {"b": null}]),
            _ => (*self.random.pick(&TEXTS)).into(),
        }
    }

    /// Changes one value somewhere.
    fn mutate(&mut self, document: &mut Value) {
        let mut places = Vec::new();
        collect("", document, &mut places);
        let place = self.random.pick(&places).clone();
        let kind = self.random.below(6);
        let (any, text) = (self.any(), *self.random.pick(&TEXTS));
        let Some(target) = document.pointer_mut(&place) else {
            return;
        };
        match (kind, target) {
            (0, Value::Object(object)) => {
                object.insert("unknown".to_owned(), any);
            }
            (1, Value::Object(object)) => {
                let names: Vec<String> = object.keys().cloned().collect();
                if !names.is_empty() {
                    object.remove(self.random.pick(&names));
                }
            }
            (2, Value::Object(object)) => {
                let names: Vec<String> = object.keys().cloned().collect();
                if !names.is_empty()
                    && let Some(value) = object.remove(self.random.pick(&names))
                {
                    object.insert(text.to_owned(), value);
                }
            }
            (3, Value::Array(list)) => {
                if let Some(first) = list.first().cloned() {
                    list.push(first);
                }
            }
            (4, Value::Array(list)) => list.push(any),
            (_, target) => *target = any,
        }
    }

    /// Text that is not quite JSON, or JSON of the odder kind.
    fn damaged(&mut self, text: &str) -> String {
        match self.random.below(8) {
            0 => {
                let mut end = self.random.below(text.len().max(1));
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
                text[..end].to_owned()
            }
            1 => text.replacen(':', ": NaN, \"x\":", 1),
            2 => format!("{text}}}"),
            3 => text.replacen('{', "{\"version\": \"1\", \"version\": \"2\",", 1),
            4 => text.replacen('"', "\"\\ud800", 3),
            5 => text.replacen('[', "[-Infinity,", 1),
            6 => text.replacen('{', "{\"number\": 123456789012345678901234567890,", 1),
            _ => format!("\u{feff}{text}"),
        }
    }
}

/// The JSON pointers of all values.
fn collect(place: &str, value: &Value, places: &mut Vec<String>) {
    places.push(place.to_owned());
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let key = key.replace('~', "~0").replace('/', "~1");
                collect(&format!("{place}/{key}"), value, places);
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                collect(&format!("{place}/{index}"), value, places);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_documents_and_another_makes_others() {
        let schemas = json!({
            "Stage": {"org.osbuild.noop": {"1": {}, "2": {"type": "object", "properties": {"options": {
                "type": "object", "required": ["a"], "properties": {"a": {"enum": [7]}, "b": {"$ref": "#/nowhere"}}}}}}},
            "Assembler": {"org.osbuild.noop": {"1": {}}},
            "Input": {"org.osbuild.files": {"2": {}}},
            "Device": {"org.osbuild.loopback": {"2": {}}},
            "Mount": {"org.osbuild.ext4": {"2": {}}},
            "Source": {"org.osbuild.curl": {"1": {}, "2": {}}},
        });
        let documents = |seed| {
            let mut generator = Generator::new(seed, &schemas);
            (0..200).map(|_| generator.document()).collect::<Vec<_>>()
        };
        assert_eq!(documents(1), documents(1));
        let (first, second) = (documents(1), documents(2));
        assert!(first.iter().zip(&second).filter(|(a, b)| a == b).count() < 20);
        // Whole and broken ones, of both formats.
        let is_json = |text: &&String| serde_json::from_str::<Value>(text).is_ok();
        assert!((100..200).contains(&first.iter().filter(is_json).count()));
        assert!(first.iter().any(|text| text.contains("\"a\":7")));
        assert!(first.iter().any(|text| text.starts_with("{\"pipeline\"")));
    }
}
