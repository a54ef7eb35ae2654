//! The stage's options, all in one build.

use serde_json::{Value, json};

use crate::manifests::{Build, output};

#[test]
fn options_leave_out_mask_and_import() {
    needs_packages!();
    let unchecked = json!({});
    let build = Build::new()
        .pipeline("all", &["locales"], &unchecked, &json!({}))
        .pipeline(
            "docs",
            &["locales"],
            &unchecked,
            &json!({"exclude": {"docs": true}}),
        )
        .pipeline(
            "languages",
            &["locales"],
            &unchecked,
            &json!({"install_langs": ["fr", "en_US"]}),
        )
        .pipeline("plain", &["kernel"], &unchecked, &json!({}))
        .pipeline(
            "masked",
            &["kernel"],
            &unchecked,
            &json!({"disable_dracut": true}),
        )
        .pipeline(
            "keys",
            &["keys"],
            &unchecked,
            &json!({"gpgkeys.fromtree": ["/etc/pki/key"]}),
        );
    let result = build.succeed();
    let present = |pipeline: &str| {
        let names = [
            "doc-of-locales/README",
            "locale/de/own.mo",
            "locale/fr/own.mo",
        ];
        let tree = build.workplace.path(&format!("out/{pipeline}/usr/share"));
        names.map(|name| tree.join(name).exists())
    };
    assert_eq!(present("all"), [true, true, true]);
    assert_eq!(present("docs"), [false, true, true]);
    assert_eq!(present("languages"), [true, false, true]);

    for (pipeline, target) in [("plain", "nil"), ("masked", "/dev/null")] {
        let line = format!("dracut is masked: {target}\n");
        let output = output(&result, pipeline);
        assert!(output.contains(&line), "{output}");
        let mask = build.workplace.path(&format!(
            "out/{pipeline}/etc/kernel/install.d/50-dracut.install"
        ));
        assert!(!mask.is_symlink());
    }

    let packages = &result["metadata"]["keys"]["org.osbuild.rpm"]["packages"];
    let names: Vec<&Value> = packages
        .as_array()
        .unwrap()
        .iter()
        .map(|package| &package["name"])
        .collect();
    assert_eq!(names, ["gpg-pubkey", "keys"]);
}
