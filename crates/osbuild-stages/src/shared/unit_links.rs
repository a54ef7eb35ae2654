//! Enabling, disabling and masking units of a tree: by `systemctl` of the build root, or here where it has none.
//!
//! What is enabled is a matter of links in `/etc/systemd/system`:
//!
//! ```text
//! multi-user.target.wants/a.service -> /usr/lib/systemd/system/a.service   enabled
//! b.service -> /usr/lib/systemd/system/a.service                           an alias, enabled with it
//! c.service -> /dev/null                                                   masked
//! default.target -> /usr/lib/systemd/system/multi-user.target
//! ```

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use osbuild_stage_api::{StageContext, TreeRoot};

use crate::shared::places::is_outside;
use crate::shared::unit_file::{CONFIG, Found, Install, UnitName, find, is_link};

/// Where `systemctl` looks for units, and writes.
const DIRECTORIES: [&str; 4] = [
    CONFIG,
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
];
/// How directories of links are called.
const LISTS: [&str; 3] = [".wants", ".requires", ".upholds"];

/// What is to be done with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Enable,
    Disable,
    Mask,
    /// Make it the target to boot into.
    SetDefault,
}

/// Does it; without `systemctl` in the same way.
pub(crate) fn change(context: &StageContext, verb: Verb, unit: &str) -> Result<()> {
    if context.has_program("systemctl") && !leads_out(context)? {
        let arguments: &[&str] = match verb {
            Verb::Enable => &["enable", "--", unit],
            Verb::Disable => &["disable", "--", unit],
            Verb::Mask => &["mask", "--", unit],
            Verb::SetDefault => &["set-default", unit],
        };
        let command = context.command("systemctl").arg("--root");
        return command.arg(context.tree()).args(arguments).run();
    }
    let links = Links {
        context,
        tree: context.tree_path()?,
    };
    let suffix = if verb == Verb::SetDefault {
        "target"
    } else {
        "service"
    };
    let name = UnitName::parse(unit)
        .or_else(|| UnitName::parse(&format!("{unit}.{suffix}")))
        .with_context(|| format!("`{unit}` is no name of a unit"))?;
    match verb {
        Verb::Enable => links.enable(name),
        Verb::Disable => links.disable(name),
        Verb::Mask => links.mask(&name),
        Verb::SetDefault => links.set_default(&name),
    }
}

/// Tells whether `systemctl` would follow links of the tree out of it.
fn leads_out(context: &StageContext) -> Result<bool> {
    let tree = context.tree_path()?;
    let mut directories = DIRECTORIES.map(str::to_owned).to_vec();
    if !is_outside(context, &directories)? && tree.is_dir(CONFIG)? {
        for name in tree.read_dir(CONFIG)? {
            let name = name.to_string_lossy();
            if LISTS.iter().any(|ending| name.ends_with(ending)) {
                directories.push(format!("{CONFIG}/{name}"));
            }
        }
    }
    is_outside(context, &directories)
}

struct Links<'a> {
    context: &'a StageContext,
    tree: TreeRoot,
}

impl Links<'_> {
    fn enable(&self, name: UnitName) -> Result<()> {
        let asked = name.full.clone();
        let mut seen = BTreeSet::from([asked.clone()]);
        let mut queue = vec![name];
        let mut problems = Vec::new();
        while let Some(name) = queue.pop() {
            let (path, name) = match find(&self.tree, &name)? {
                Found::File { path, name } => (path, name),
                Found::Masked(path) => bail!("the unit {} is masked", path.display()),
                // What a unit names as its company may be missing.
                Found::Missing if name.full != asked => continue,
                Found::Missing => bail!("the unit `{}` does not exist", name.full),
            };
            let install = Install::read(&self.tree, &path, &name)?;
            self.link(&name, &path, &install, &mut problems)?;
            for other in &install.also {
                let other = expand(other, &name)?;
                if seen.insert(other.full.clone()) {
                    queue.push(other);
                }
            }
        }
        // As `systemctl`: what can be done is done, and the rest makes it fail.
        ensure!(problems.is_empty(), problems.join("; "));
        Ok(())
    }

    fn link(
        &self,
        name: &UnitName,
        path: &Path,
        install: &Install,
        problems: &mut Vec<String>,
    ) -> Result<()> {
        for alias in &install.alias {
            let alias = expand(alias, name)?;
            if alias.suffix == name.suffix {
                self.replace_link(path, &Path::new(CONFIG).join(&alias.full))?;
            } else {
                problems.push(format!(
                    "`{}` can not be an alias of `{}`",
                    alias.full, name.full
                ));
            }
        }
        for (kind, units) in [
            ("wants", &install.wanted_by),
            ("requires", &install.required_by),
            ("upholds", &install.upheld_by),
        ] {
            for unit in units {
                let unit = expand(unit, name)?;
                let instance = match &install.default_instance {
                    Some(instance) if name.is_template() => name.with_instance(instance),
                    _ => Some(name.clone()),
                };
                match instance {
                    Some(instance) if !instance.is_template() || unit.is_template() => {
                        let link = format!("{CONFIG}/{}.{kind}/{}", unit.full, instance.full);
                        self.replace_link(path, Path::new(&link))?;
                    }
                    _ => problems.push(format!(
                        "`{}` has no default instance for `{}`",
                        name.full, unit.full
                    )),
                }
            }
        }
        Ok(())
    }

    fn disable(&self, name: UnitName) -> Result<()> {
        let mut names = BTreeSet::from([name.full.clone()]);
        let mut queue = vec![name];
        while let Some(name) = queue.pop() {
            match find(&self.tree, &name)? {
                Found::Masked(path) => {
                    let path = path.display();
                    self.context.log(format_args!("{path} is masked, ignoring"));
                    names.remove(&name.full);
                }
                Found::Missing => {
                    self.context
                        .log(format_args!("the unit `{}` does not exist", name.full));
                    names.remove(&name.full);
                }
                Found::File { path, name } => {
                    names.insert(name.full.clone());
                    for other in Install::read(&self.tree, &path, &name)?.also {
                        let other = expand(&other, &name)?;
                        if names.insert(other.full.clone()) {
                            queue.push(other);
                        }
                    }
                }
            }
        }
        // The name of a link that goes is a name of the unit, too, so others may lead to it.
        while self.tree.is_dir(CONFIG)? && self.unlink(Path::new(CONFIG), &mut names)? {}
        Ok(())
    }

    /// Removes links by these names and to them; returns whether there was a new name among them.
    fn unlink(&self, directory: &Path, names: &mut BTreeSet<String>) -> Result<bool> {
        let mut has_new = false;
        for file in self.tree.read_dir(directory)? {
            let path = directory.join(&file);
            let name = file.to_string_lossy().into_owned();
            if !is_link(&self.tree, &path)? {
                if self.tree.is_dir(&path)? {
                    has_new |= self.unlink(&path, names)?;
                }
                continue;
            }
            let target = self.tree.read_link(&path)?;
            let target = target.file_name().unwrap_or_default().to_string_lossy();
            let template = UnitName::parse(&name).and_then(|name| name.template());
            let is_wanted = names.contains(&name)
                || names.contains(target.as_ref())
                || template.is_some_and(|template| names.contains(&template));
            if UnitName::parse(&name).is_none() || !is_wanted {
                continue;
            }
            self.tree.remove_file(&path)?;
            self.context
                .log(format_args!("Removed \"{}\".", path.display()));
            has_new |= names.insert(name);
        }
        if directory != Path::new(CONFIG) && self.tree.read_dir(directory)?.is_empty() {
            self.tree.remove_dir(directory)?;
        }
        Ok(has_new)
    }

    fn mask(&self, name: &UnitName) -> Result<()> {
        let path = Path::new(CONFIG).join(&name.full);
        if self.tree.has_entry(&path)? {
            let is_masked = is_link(&self.tree, &path)?
                && self.tree.read_link(&path)? == Path::new("/dev/null");
            ensure!(is_masked, "{} already exists", path.display());
            return Ok(());
        }
        self.replace_link(Path::new("/dev/null"), &path)
    }

    fn set_default(&self, name: &UnitName) -> Result<()> {
        ensure!(
            name.suffix == "target" && name.full != "default.target",
            "`{}` can not be the default target",
            name.full
        );
        match find(&self.tree, name)? {
            Found::File { path, .. } => {
                self.replace_link(&path, &Path::new(CONFIG).join("default.target"))
            }
            Found::Masked(path) => bail!("the unit {} is masked", path.display()),
            Found::Missing => bail!("the unit `{}` does not exist", name.full),
        }
    }

    fn replace_link(&self, target: &Path, link: &Path) -> Result<()> {
        if let Some(directory) = link.parent() {
            self.tree.create_dir_all(directory)?;
        }
        if self.tree.has_entry(link)? {
            ensure!(
                is_link(&self.tree, link)?,
                "{} already exists",
                link.display()
            );
            if self.tree.read_link(link)? == target {
                return Ok(());
            }
            self.tree.remove_file(link)?;
        }
        self.tree.symlink(target, link)?;
        let (link, target) = (link.display(), target.display());
        self.context
            .log(format_args!("Created symlink {link} -> {target}."));
        Ok(())
    }
}

/// Puts a unit's own name into a name of its `[Install]` section, systemd.unit(5).
fn expand(text: &str, unit: &UnitName) -> Result<UnitName> {
    let mut expanded = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            expanded.push(letter);
            continue;
        }
        let stem = unit.full.strip_suffix(&format!(".{}", unit.suffix));
        expanded.push_str(match letters.next() {
            Some('i') => unit.instance.as_deref().unwrap_or_default(),
            Some('j') => unit.prefix.rsplit('-').next().unwrap_or_default(),
            Some('n') => &unit.full,
            Some('N') => stem.unwrap_or_default(),
            Some('p') => &unit.prefix,
            Some('%') => "%",
            _ => bail!(
                "what `{text}` of `{}` means is known at boot only",
                unit.full
            ),
        });
    }
    UnitName::parse(&expanded)
        .with_context(|| format!("`{expanded}`, in `{}`, is no name of a unit", unit.full))
}

#[cfg(test)]
mod tests {
    use osbuild_stage_api::testing::StageTest;
    use serde_json::json;

    use crate::lookup;

    /// Unit files that between them have all there is to an `[Install]` section.
    const UNITS: &[(&str, &str)] = &[
        (
            "a.service",
            "[Install]\nWantedBy=multi-user.target\nAlias=bb.service\nAlso=a.socket\n",
        ),
        (
            "a.socket",
            "[Install]\nWantedBy=sockets.target\nRequiredBy=x.target y.target\n",
        ),
        ("plain.service", "[Service]\n"),
        (
            "plain.service.d/10.conf",
            "[Install]\nWantedBy=drop.target\n",
        ),
        (
            "g@.service",
            "[Install]\nWantedBy=multi-user.target\nDefaultInstance=tty1\n",
        ),
        ("n@.service", "[Install]\nWantedBy=multi-user.target\n"),
        (
            "s-p@.service",
            "[Install]\nWantedBy=dev-%i.target %p-%j.target\n",
        ),
        (
            "bad.service",
            "[Install]\nWantedBy=other.target\nAlias=c.service bad.socket\n",
        ),
        (
            "inst@.service",
            "[Install]\nAlias=q@%i.service\nWantedBy=m.target\n",
        ),
        ("empty.service", ""),
        ("multi-user.target", "[Unit]\n"),
        ("graphical.target", "[Unit]\n"),
    ];

    fn test(steps: &serde_json::Value) -> StageTest {
        let stage = lookup("org.osbuild.systemd").unwrap();
        let test = StageTest::new(stage, steps.clone())
            .directory("etc")
            .file(
                "usr/local/lib/systemd/system/over.service",
                "[Install]\nWantedBy=l.target\n",
            )
            .file(
                "etc/systemd/system/own.service",
                "[Install]\nWantedBy=l.target\n",
            )
            .symlink("usr/lib/systemd/system/al.service", "a.service")
            .symlink("usr/lib/systemd/system/masked.service", "/dev/null")
            .symlink(
                "etc/systemd/system/l.target.wants/g@old.service",
                "/usr/lib/systemd/system/g@.service",
            )
            .symlink(
                "etc/systemd/system/l.target.wants/over.service",
                "/usr/local/lib/systemd/system/over.service",
            );
        UNITS.iter().fold(test, |test, (name, text)| {
            test.file(&format!("usr/lib/systemd/system/{name}"), text)
        })
    }

    fn cases() -> Vec<serde_json::Value> {
        let enabled = [
            "a.service",
            "a",
            "plain.service",
            "g@.service",
            "g@tty2.service",
            "n@.service",
            "n@z.service",
            "s-p@foo-bar.service",
            "al.service",
            "masked.service",
            "empty.service",
            "bad.service",
            "inst@k.service",
            "over.service",
            "own.service",
            "nope.service",
        ];
        let mut cases: Vec<_> = enabled
            .map(|unit| json!({"enabled_services": [unit]}))
            .into();
        for unit in [
            "a.service",
            "al.service",
            "bb.service",
            "nope.service",
            "plain.service",
            "g@.service",
            "g@old.service",
            "over.service",
            "masked.service",
        ] {
            cases.push(json!({"enabled_services": ["a.service"], "disabled_services": [unit]}));
        }
        for unit in ["a.service", "nope.service", "own.service"] {
            cases.push(json!({"masked_services": [unit, unit]}));
        }
        for unit in ["multi-user.target", "graphical", "nope.target", "a.service"] {
            cases.push(json!({"default_target": unit}));
        }
        cases
    }

    #[test]
    fn systemctl_itself_does_the_same() {
        osbuild_testing::needs![tool("systemctl")];
        for options in cases() {
            let real = test(&options).run();
            let native = test(&options).without_program("systemctl").run();
            assert_eq!(
                real.tree, native.tree,
                "{options}\n{}\n{}",
                real.log, native.log
            );
            assert_eq!(
                real.result.is_ok(),
                native.result.is_ok(),
                "{options}\n{}\n{:?}",
                real.log,
                native.result
            );
        }
    }

    #[test]
    fn a_unit_is_linked_to_what_wants_it() {
        let options = json!({"enabled_services": ["a"], "masked_services": ["plain.service"],
                             "default_target": "multi-user.target"});
        let ran = test(&options).without_program("systemctl").run().success();
        let links: Vec<_> = ran
            .tree
            .lines()
            .filter_map(|line| line.strip_prefix("etc/systemd/system/"))
            .filter(|line| line.contains(" -> ") && !line.starts_with("l.target"))
            .collect();
        assert_eq!(
            links,
            [
                "bb.service -> /usr/lib/systemd/system/a.service",
                "default.target -> /usr/lib/systemd/system/multi-user.target",
                "multi-user.target.wants/a.service -> /usr/lib/systemd/system/a.service",
                "plain.service -> /dev/null",
                "sockets.target.wants/a.socket -> /usr/lib/systemd/system/a.socket",
                "x.target.requires/a.socket -> /usr/lib/systemd/system/a.socket",
                "y.target.requires/a.socket -> /usr/lib/systemd/system/a.socket",
            ]
        );
    }

    #[test]
    fn what_can_not_be_done_is_said() {
        for (options, expected) in [
            (
                json!({"enabled_services": ["nope"]}),
                "ValueError: the unit `nope.service` does not exist",
            ),
            (
                json!({"enabled_services": ["masked.service"]}),
                "ValueError: the unit /usr/lib/systemd/system/masked.service is masked",
            ),
            (
                json!({"enabled_services": ["a/b"]}),
                "ValueError: `a/b` is no name of a unit",
            ),
            (
                json!({"default_target": "nope"}),
                "ValueError: the unit `nope.target` does not exist",
            ),
        ] {
            let ran = test(&options).without_program("systemctl").run();
            assert_eq!(ran.error(), expected);
        }
    }
}
