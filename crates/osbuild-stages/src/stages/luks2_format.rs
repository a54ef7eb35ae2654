//! Encrypts a device with LUKS2.

use anyhow::Result;
use osbuild_stage_api::{StageContext, StageModule};
use serde::Deserialize;

pub(crate) const STAGE: StageModule = StageModule::new::<Options>(
    "org.osbuild.luks2.format",
    include_str!("luks2_format.meta.json"),
    run,
);

/// Of Argon2, in KiB, where none is given: the least there is.
const MEMORY: u64 = 32;
const THREADS: u64 = 1;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Options {
    passphrase: String,
    uuid: String,
    #[serde(default)]
    cipher: String,
    pbkdf: KeyDerivation,
    #[serde(default)]
    label: String,
    #[serde(default)]
    subsystem: String,
    #[serde(default)]
    sector_size: u64,
    #[serde(default)]
    integrity: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyDerivation {
    method: String,
    iterations: u64,
    memory: Option<u64>,
    parallelism: Option<u64>,
}

fn run(context: &StageContext) -> Result<()> {
    let options: Options = context.options()?;
    let device = context
        .devices_root()
        .join(context.device("device")?.path());
    context
        .command("cryptsetup")
        .args(arguments(&options))
        .arg(device)
        .input(options.passphrase)
        .run()
}

fn arguments(options: &Options) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut add = |words: &[&str]| arguments.extend(words.iter().map(ToString::to_string));
    // `-q`: nobody is there to be asked.
    add(&["-q", "--uuid", &options.uuid, "luksFormat"]);
    add(&["--type", "luks2", "--force-password"]);
    if !options.cipher.is_empty() {
        add(&["--cipher", &options.cipher]);
    }
    if !options.label.is_empty() {
        add(&["--label", &options.label, "--subsystem", &options.subsystem]);
    }
    if options.sector_size != 0 {
        add(&["--sector-size", &options.sector_size.to_string()]);
    }
    if !options.integrity.is_empty() {
        add(&["--integrity", &options.integrity]);
    }
    let KeyDerivation {
        method,
        iterations,
        memory,
        parallelism,
    } = &options.pbkdf;
    add(&["--pbkdf", method]);
    // Else it would be measured, and differ from build to build.
    add(&["--pbkdf-force-iterations", &iterations.to_string()]);
    for (name, value) in [
        ("--pbkdf-memory", memory.unwrap_or(MEMORY)),
        ("--pbkdf-parallel", parallelism.unwrap_or(THREADS)),
    ] {
        if value != 0 {
            add(&[name, &value.to_string()]);
        }
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbuild_stage_api::testing::StageTest;
    use serde_json::{Value, json};

    fn log_of(options: Value) -> String {
        let test = StageTest::new(&STAGE, options)
            .device("device", "xxd1".as_ref())
            .program("cryptsetup", "cat");
        test.run().success().log
    }

    #[test]
    fn options_become_arguments_and_the_passphrase_does_not() {
        let pbkdf = json!({"method": "argon2i", "iterations": 4, "memory": 64, "parallelism": 2});
        let options = json!({
            "passphrase": "secret", "uuid": "u", "cipher": "aes", "pbkdf": pbkdf, "label": "l", "subsystem": "s",
            "sector-size": 512, "integrity": "hmac-sha256"
        });
        assert_eq!(
            log_of(options).trim_end(),
            "$ cryptsetup -q --uuid u luksFormat --type luks2 --force-password --cipher aes --label l --subsystem s \
             --sector-size 512 --integrity hmac-sha256 --pbkdf argon2i --pbkdf-force-iterations 4 \
             --pbkdf-memory 64 --pbkdf-parallel 2 /dev/xxd1\nsecret"
        );
    }

    #[test]
    fn what_is_not_given_is_left_to_the_program() {
        let pbkdf = json!({"method": "pbkdf2", "iterations": 1000});
        assert_eq!(
            log_of(json!({"passphrase": "x", "uuid": "u", "subsystem": "s", "pbkdf": pbkdf}))
                .trim_end(),
            "$ cryptsetup -q --uuid u luksFormat --type luks2 --force-password --pbkdf pbkdf2 \
             --pbkdf-force-iterations 1000 --pbkdf-memory 32 --pbkdf-parallel 1 /dev/xxd1\nx"
        );
    }
}
