//! Makes a container image of the tree: a tar archive in the layout of the Open Container Initiative.
//!
//! ```text
//! oci-layout             the version of this layout
//! index.json             names the manifest
//! blobs/sha256/DIGEST    the manifest, the configuration, the layer: each under the digest of its bytes
//! ```
//!
//! See <https://github.com/opencontainers/image-spec>.

use std::fmt::Write;
use std::io::Read;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result};
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::shared::calendar;
use crate::shared::tar_members::top_entries;

pub(crate) const ASSEMBLER: StageModule = StageModule::new::<Options>(
    "org.osbuild.oci-archive",
    include_str!("oci_archive.meta.json"),
    run,
);

const BLOBS: &str = "blobs/sha256";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const LAYOUT_VERSION: &str = "1.0.0";
const SCHEMA_VERSION: u8 = 2;
const DEFAULT_COMMAND: &str = "sh";
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const PIECE: usize = 1024 * 1024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    architecture: String,
    filename: String,
    #[serde(default)]
    config: Config,
}

/// What a container of this image does. The names are those of the image's own configuration.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Config {
    cmd: Option<Vec<String>>,
    #[serde(default)]
    entrypoint: Vec<String>,
    env: Option<Vec<String>>,
    #[serde(default)]
    exposed_ports: Vec<String>,
    #[serde(default)]
    user: String,
    #[serde(default)]
    labels: Map<String, Value>,
    /// Spelled so in the published interface.
    #[serde(default, rename = "StopSiganl")]
    stop_signal: String,
    #[serde(default)]
    volumes: Vec<String>,
    #[serde(default)]
    working_dir: String,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let archive = context.tree_path()?.target_path(&options.filename)?;
    let directory = tempfile::Builder::new()
        .prefix(".oci-")
        .tempdir_in(context.tree())
        .context("making a directory")?;
    let output = directory.path().join("output");
    fs_err::create_dir_all(output.join(BLOBS))?;
    write_image(context, &options, &output)?;
    context.log("creating final archive");
    context
        .command("tar")
        .args(["--remove-files", "-cf"])
        .arg(archive)
        .arg(format!("--directory={}", output.display()))
        .args(top_entries(&output)?)
        .run()
}

fn write_image(context: &StageContext, options: &Options, output: &Path) -> Result<()> {
    let blobs = output.join(BLOBS);
    let (content, layer) = add_layer(context, &blobs)?;
    let config = json!({
        "created": calendar::rfc3339(SystemTime::now()),
        "architecture": options.architecture,
        "os": "linux",
        "config": options.config.published(),
        "rootfs": {"type": "layers", "diff_ids": [content]},
    });
    let config = add_json(context, &blobs, &config, CONFIG)?;
    let manifest = json!({"schemaVersion": SCHEMA_VERSION, "config": config, "layers": [layer]});
    let manifest = add_json(context, &blobs, &manifest, MANIFEST)?;
    context.log("writing index");
    let index = json!({"schemaVersion": SCHEMA_VERSION, "manifests": [manifest]});
    fs_err::write(output.join("index.json"), index.to_string())?;
    let layout = json!({"imageLayoutVersion": LAYOUT_VERSION});
    fs_err::write(output.join("oci-layout"), layout.to_string())?;
    Ok(())
}

/// Packs the tree; returns the digest of the archive before it is compressed, and the layer's description.
fn add_layer(context: &StageContext, blobs: &Path) -> Result<(String, Value)> {
    let tree = context.input("tree")?.path();
    let archive = blobs.join("layer.tar");
    context.log("creating layer");
    context
        .command("tar")
        .args(["--no-selinux", "--acls", "--xattrs", "-cf"])
        .arg(&archive)
        .arg("-C")
        .arg(tree)
        .args(top_entries(tree)?)
        .run()?;
    let content = format!("sha256:{}", sha256(&archive)?);
    context.log("compressing layer");
    context
        .command("gzip")
        .args(["-S", ".compressed"])
        .arg(&archive)
        .run()?;
    let layer = add_file(context, blobs, &blobs.join("layer.tar.compressed"), LAYER)?;
    Ok((content, layer))
}

fn add_json(context: &StageContext, blobs: &Path, value: &Value, kind: &str) -> Result<Value> {
    let path = blobs.join("temporary.json");
    fs_err::write(&path, value.to_string())?;
    add_file(context, blobs, &path, kind)
}

/// Gives a file the name of its digest, and describes it.
fn add_file(context: &StageContext, blobs: &Path, path: &Path, kind: &str) -> Result<Value> {
    let digest = sha256(path)?;
    let size = fs_err::metadata(path)?.len();
    fs_err::rename(path, blobs.join(&digest))?;
    context.log(format_args!("blob: {kind} ({size} bytes, {digest})"));
    Ok(json!({"digest": format!("sha256:{digest}"), "size": size, "mediaType": kind}))
}

fn sha256(path: &Path) -> Result<String> {
    let mut file = fs_err::File::open(path)?;
    let (mut digest, mut piece) = (Sha256::new(), vec![0; PIECE]);
    loop {
        let length = file.read(&mut piece)?;
        if length == 0 {
            break;
        }
        digest.update(&piece[..length]);
    }
    let mut text = String::new();
    for byte in digest.finalize() {
        write!(text, "{byte:02x}").context("writing to a string")?;
    }
    Ok(text)
}

impl Config {
    /// Returns the configuration as the image has it: what is empty is left out, and sets are maps of empty maps.
    fn published(&self) -> Value {
        let command = self.cmd.clone();
        let environment = self.env.clone();
        let mut config = json!({
            "Env": environment.unwrap_or_else(|| vec![DEFAULT_PATH.to_owned()]),
            "Cmd": command.unwrap_or_else(|| vec![DEFAULT_COMMAND.to_owned()]),
        });
        let set = |items: &[String]| -> Map<String, Value> {
            items.iter().map(|item| (item.clone(), json!({}))).collect()
        };
        for (name, value, is_empty) in [
            (
                "Entrypoint",
                json!(self.entrypoint),
                self.entrypoint.is_empty(),
            ),
            ("User", json!(self.user), self.user.is_empty()),
            ("Labels", json!(self.labels), self.labels.is_empty()),
            (
                "StopSignal",
                json!(self.stop_signal),
                self.stop_signal.is_empty(),
            ),
            (
                "WorkingDir",
                json!(self.working_dir),
                self.working_dir.is_empty(),
            ),
            (
                "ExposedPorts",
                json!(set(&self.exposed_ports)),
                self.exposed_ports.is_empty(),
            ),
            (
                "Volumes",
                json!(set(&self.volumes)),
                self.volumes.is_empty(),
            ),
        ] {
            if !is_empty {
                config[name] = value;
            }
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use osbuild_testing::needs;

    fn test_with(options: Value) -> StageTest {
        let files: [(&str, &[u8]); 2] = [("etc/hostname", b"here\n"), ("-v", b"")];
        StageTest::new(&ASSEMBLER, options).input("tree", &files, Value::Null)
    }

    /// Unpacks an archive and returns where its content is.
    fn unpack(test: &StageTest, archive: &Path, name: &str) -> std::path::PathBuf {
        let target = test.workspace().join(name);
        fs_err::create_dir(&target).unwrap();
        let command = test.context().command("tar").arg("-xf").arg(archive);
        command.arg("-C").arg(&target).run().unwrap();
        target
    }

    fn json_at(path: &Path) -> Value {
        serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap()
    }

    /// Follows a description to its blob, which must be what it says.
    fn blob(image: &Path, description: &Value) -> std::path::PathBuf {
        let digest = description["digest"].as_str().unwrap();
        let digest = digest.strip_prefix("sha256:").unwrap();
        let path = image.join(BLOBS).join(digest);
        assert_eq!(sha256(&path).unwrap(), digest);
        assert_eq!(
            fs_err::metadata(&path).unwrap().len(),
            description["size"].as_u64().unwrap()
        );
        path
    }

    #[test]
    fn the_archive_leads_from_the_index_to_the_tree() {
        needs![tool("tar"), tool("gzip")];
        let test = test_with(json!({"architecture": "amd64", "filename": "image.oci"}));
        let ran = test.run().success();
        assert!(ran.tree.starts_with("image.oci 0644"), "{}", ran.tree);
        assert_eq!(ran.tree.lines().count(), 1, "{}", ran.tree);
        let image = unpack(&test, &test.path("image.oci"), "image");
        assert_eq!(
            json_at(&image.join("oci-layout")),
            json!({"imageLayoutVersion": "1.0.0"})
        );
        let index = json_at(&image.join("index.json"));
        assert_eq!(index["manifests"][0]["mediaType"], MANIFEST);
        let manifest = json_at(&blob(&image, &index["manifests"][0]));
        let config = json_at(&blob(&image, &manifest["config"]));
        assert_eq!(
            (&config["architecture"], &config["os"]),
            (&json!("amd64"), &json!("linux"))
        );
        assert_eq!(
            config["config"],
            json!({"Env": [DEFAULT_PATH], "Cmd": ["sh"]})
        );
        let layer = blob(&image, &manifest["layers"][0]);
        let packed = test.context().command("gzip").arg("-dc").arg(&layer);
        let plain = test.workspace().join("layer.tar");
        fs_err::write(&plain, packed.read().unwrap()).unwrap();
        assert_eq!(
            config["rootfs"],
            json!({"type": "layers", "diff_ids": [format!("sha256:{}", sha256(&plain).unwrap())]})
        );
        let tree = unpack(&test, &plain, "tree-of-layer");
        assert_eq!(
            osbuild_testing::tree::describe(&tree).unwrap(),
            "-v 0644 \"\"\netc/ 0755\netc/hostname 0644 \"here\\n\"\n"
        );
    }

    #[test]
    fn the_configuration_is_taken_over() {
        let config: Config = serde_json::from_value(json!({
            "Cmd": ["a"], "Entrypoint": ["b"], "Env": ["C=d"], "ExposedPorts": ["80/tcp"], "User": "e",
            "Labels": {"f": "g"}, "StopSiganl": "SIGTERM", "Volumes": ["/h"], "WorkingDir": "/i"
        }))
        .unwrap();
        assert_eq!(
            config.published(),
            json!({
                "Cmd": ["a"], "Entrypoint": ["b"], "Env": ["C=d"], "ExposedPorts": {"80/tcp": {}}, "User": "e",
                "Labels": {"f": "g"}, "StopSignal": "SIGTERM", "Volumes": {"/h": {}}, "WorkingDir": "/i"
            })
        );
    }

    #[test]
    fn programs_are_called_as_they_always_were() {
        let options = json!({"architecture": "amd64", "filename": "image.oci"});
        let test = test_with(options)
            .program(
                "tar",
                r#"while [ "$1" != -cf ]; do shift; done; echo x >"$2""#,
            )
            .program("gzip", r#"mv "$3" "$3.compressed""#);
        let log = test.run().success().log;
        let calls: Vec<_> = log.lines().filter(|line| line.starts_with("$ ")).collect();
        assert!(
            calls[0].starts_with("$ tar --no-selinux --acls --xattrs -cf TREE/.oci-")
                && calls[0].ends_with("/layer.tar -C INPUTS/tree --add-file=-v etc"),
            "{log}"
        );
        assert!(calls[1].starts_with("$ gzip -S .compressed TREE/"), "{log}");
        assert!(
            calls[2].starts_with("$ tar --remove-files -cf TREE/image.oci --directory=TREE/")
                && calls[2].ends_with("/output blobs index.json oci-layout"),
            "{log}"
        );
    }
}
