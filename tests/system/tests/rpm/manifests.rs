//! Manifests that install packages of the set, and what building them came to.

use fs_err as fs;
use osbuild_system_tests::workplace::{Ran, Workplace};
use osbuild_testing::server::{Answer, Server};
use serde_json::{Value, json};

use crate::package_set::PackageSet;

/// Where the database is, whatever the distribution.
pub(crate) const DATABASE: &str = "/usr/lib/sysimage/rpm";

/// A stage that installs packages; `about` is said of each.
pub(crate) fn rpm_stage(packages: &[&str], about: &Value, options: &Value) -> Value {
    let set = PackageSet::get();
    let references: Vec<Value> = packages
        .iter()
        .map(|name| json!({"id": set.checksum(name), "options": {"metadata": about}}))
        .collect();
    let mut options = options.clone();
    options["dbpath"] = json!(DATABASE);
    json!({
        "type": "org.osbuild.rpm",
        "inputs": {"packages": {
            "type": "org.osbuild.files",
            "origin": "org.osbuild.source",
            "references": references,
        }},
        "options": options,
    })
}

/// Says that a package must be signed.
pub(crate) fn checked() -> Value {
    json!({"rpm.check_gpg": true})
}

/// Pipelines, with the packages that their stages want from a server of this test.
pub(crate) struct Build {
    pub(crate) workplace: Workplace,
    pub(crate) server: Server,
    pipelines: Vec<Value>,
    items: serde_json::Map<String, Value>,
}

impl Build {
    pub(crate) fn new() -> Self {
        Self {
            workplace: Workplace::new(),
            server: Server::start().unwrap(),
            pipelines: Vec::new(),
            items: serde_json::Map::new(),
        }
    }

    /// A build of one pipeline, `tree`, with one stage.
    pub(crate) fn of(packages: &[&str], about: &Value, options: &Value) -> Self {
        Self::new().pipeline("tree", packages, about, options)
    }

    /// Adds a pipeline with one stage.
    pub(crate) fn pipeline(
        mut self,
        name: &str,
        packages: &[&str],
        about: &Value,
        options: &Value,
    ) -> Self {
        for package in packages {
            let content = fs::read(PackageSet::get().file(package)).unwrap();
            let checksum = PackageSet::get().checksum(package);
            self.serve(&format!("/{package}.rpm"), checksum, content);
        }
        self.pipelines
            .push(json!({"name": name, "stages": [rpm_stage(packages, about, options)]}));
        self
    }

    /// Serves a file that the manifest names by its checksum.
    pub(crate) fn serve(&mut self, path: &str, checksum: &str, content: Vec<u8>) {
        self.server.answer(path, [Answer::File(content)]);
        self.items
            .insert(checksum.to_owned(), self.server.url(path).into());
    }

    /// Adds a pipeline of any stages.
    pub(crate) fn stages(mut self, name: &str, stages: &Value) -> Self {
        self.pipelines.push(json!({"name": name, "stages": stages}));
        self
    }

    fn manifest(&self) -> String {
        let manifest = json!({
            "version": "2",
            "pipelines": self.pipelines,
            "sources": {"org.osbuild.curl": {"items": self.items}},
        });
        format!("{manifest:#}\n")
    }

    /// Builds and exports every pipeline, to `out/NAME`; the result document is on standard output.
    #[track_caller]
    pub(crate) fn run(&self) -> Ran {
        self.workplace.write("image.json", self.manifest());
        let mut command = self.workplace.command(&["image.json", "--store", "store"]);
        command.args(["--json", "--output-directory", "out"]);
        for pipeline in &self.pipelines {
            command.args(["--export", pipeline["name"].as_str().unwrap()]);
        }
        let mut ran = self.workplace.run(command);
        ran.stdout = ran.stdout.replace(&self.server.url(""), "[mirror]");
        ran
    }

    /// Builds, which works; gives the result document.
    #[track_caller]
    pub(crate) fn succeed(&self) -> Value {
        let ran = self.run();
        assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
        serde_json::from_str(&ran.stdout).unwrap()
    }

    /// Builds, which fails in the only stage; gives its output.
    #[track_caller]
    pub(crate) fn fail(&self) -> String {
        let ran = self.run();
        assert_eq!(ran.code, 1, "{}\n{}", ran.stdout, ran.stderr);
        assert!(!self.workplace.path("out").exists(), "nothing was exported");
        self.workplace.assert_usable();
        let result: Value = serde_json::from_str(&ran.stdout).unwrap();
        let stage = &result["error"]["details"]["stage"];
        stage["output"]
            .as_str()
            .unwrap_or_else(|| panic!("no stage failed: {result:#}"))
            .to_owned()
    }
}

/// What a stage of a pipeline had to say.
#[track_caller]
pub(crate) fn output(result: &Value, pipeline: &str) -> String {
    let output = &result["log"][pipeline][0]["output"];
    output.as_str().unwrap().to_owned()
}
