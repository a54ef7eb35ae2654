//! The list of packages, `primary.xml`.

use anyhow::{Context as _, Result, ensure};

use super::dependency::{Capability, Range, Requirement};
use super::details::{Details, Listed};
use super::repomd::check_path;
use super::repository::{Available, Extent};
use super::version::Evr;
use super::xml::{Element, Visitor, walk};

/// What only rpm itself provides.
const OF_RPM: &str = "rpmlib(";

/// The lists of dependencies.
const LISTS: [&str; 8] = [
    "provides",
    "requires",
    "conflicts",
    "obsoletes",
    "recommends",
    "suggests",
    "supplements",
    "enhances",
];

/// Reads the packages of one architecture and those of none; `address` is that of the repository.
pub(super) fn read(
    text: &str,
    address: &str,
    architecture: &str,
    extent: Extent,
) -> Result<Vec<Available>> {
    let mut reader = Reader {
        address,
        architecture,
        extent,
        list: String::new(),
        packages: Vec::new(),
        package: Available::default(),
        checksum_type: String::new(),
        section: Section::Other,
    };
    walk(text, &mut reader)?;
    Ok(reader.packages)
}

#[derive(Clone, Copy)]
enum Section {
    Provides,
    Requires,
    Conflicts,
    Obsoletes,
    Weak,
    Other,
}

struct Reader<'a> {
    address: &'a str,
    architecture: &'a str,
    extent: Extent,
    list: String,
    packages: Vec<Available>,
    package: Available,
    checksum_type: String,
    section: Section,
}

impl Reader<'_> {
    fn entry(&mut self, element: &Element) -> Result<()> {
        let name = element.require("name")?;
        let package = &mut self.package;
        if let Some(details) = &mut package.details {
            details
                .dependencies
                .push(Listed::read(&self.list, element)?);
        }
        if name.starts_with(OF_RPM) {
            return Ok(());
        }
        match self.section {
            Section::Provides => package.provides.push(capability(element)?),
            Section::Obsoletes => package.obsoletes.push(capability(element)?),
            Section::Requires => package.requires.push(requirement(element)?),
            Section::Conflicts => package.conflicts.push(requirement(element)?),
            Section::Weak => package.weak.push(requirement(element)?),
            Section::Other => {}
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        let package = std::mem::take(&mut self.package);
        let is_wanted = [self.architecture, "noarch"].contains(&package.architecture.as_str());
        if is_wanted {
            ensure!(
                self.checksum_type == "sha256",
                "package `{}` has a checksum of type `{}`, only sha256 is read",
                package.name,
                self.checksum_type
            );
            self.packages.push(package);
        }
        Ok(())
    }
}

impl Visitor for Reader<'_> {
    fn begin(&mut self, element: &Element) -> Result<()> {
        if let Some(details) = &mut self.package.details {
            begin_detail(details, element)?;
        }
        if LISTS.contains(&element.name.as_str()) {
            element.name.clone_into(&mut self.list);
        }
        match element.name.as_str() {
            "package" => {
                self.package = Available::default();
                if self.extent == Extent::Everything {
                    self.package.details = Some(Box::default());
                }
            }
            "version" => self.package.evr = evr(element)?,
            "checksum" => element.require("type")?.clone_into(&mut self.checksum_type),
            "size" => {
                let size = element.require("package")?;
                self.package.size = size.parse().context("reading a size")?;
            }
            "location" => {
                let path = element.require("href")?;
                check_path(path)?;
                ensure!(
                    element.get("xml:base").is_none(),
                    "`{path}` is not in the repository but elsewhere, which is not read"
                );
                self.package.url = format!("{}/{path}", self.address);
            }
            "provides" => self.section = Section::Provides,
            "requires" => self.section = Section::Requires,
            "conflicts" => self.section = Section::Conflicts,
            "obsoletes" => self.section = Section::Obsoletes,
            "recommends" | "suggests" => self.section = Section::Weak,
            "supplements" | "enhances" => self.section = Section::Other,
            "entry" => self
                .entry(element)
                .with_context(|| format!("reading package `{}`", self.package.name))?,
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, name: &str, text: &str) -> Result<()> {
        if let Some(details) = &mut self.package.details {
            end_detail(details, name, text);
        }
        match name {
            "name" => text.clone_into(&mut self.package.name),
            "arch" => text.clone_into(&mut self.package.architecture),
            "checksum" => text.clone_into(&mut self.package.sha256),
            "file" => self.package.files.push(text.to_owned()),
            "package" => self.finish()?,
            _ => {}
        }
        Ok(())
    }
}

fn begin_detail(details: &mut Details, element: &Element) -> Result<()> {
    match element.name.as_str() {
        "location" => element.require("href")?.clone_into(&mut details.location),
        "time" => details.build_time = element.require("build")?.parse()?,
        "size" => {
            let size = element.get("installed").unwrap_or("0");
            details.installed_size = size.parse().context("reading a size")?;
        }
        _ => {}
    }
    Ok(())
}

fn end_detail(details: &mut Details, name: &str, text: &str) {
    let field = match name {
        "summary" => &mut details.summary,
        "description" => &mut details.description,
        "url" => &mut details.url,
        "license" => &mut details.license,
        "vendor" => &mut details.vendor,
        "packager" => &mut details.packager,
        "group" => &mut details.group,
        "sourcerpm" => &mut details.source_rpm,
        _ => return,
    };
    text.clone_into(field);
}

fn requirement(element: &Element) -> Result<Requirement> {
    let name = element.require("name")?;
    if name.starts_with('(') {
        Requirement::parse(name)
    } else {
        capability(element).map(Requirement::Capability)
    }
}

fn capability(element: &Element) -> Result<Capability> {
    let range = match element.get("flags") {
        Some(flags) => Some(Range::from_flags(flags, evr(element)?)?),
        None => None,
    };
    Ok(Capability {
        name: element.require("name")?.to_owned(),
        range,
    })
}

fn evr(element: &Element) -> Result<Evr> {
    Ok(Evr {
        epoch: element.get("epoch").unwrap_or("0").parse().unwrap_or(0),
        version: element.require("ver")?.to_owned(),
        release: element.get("rel").map(str::to_owned),
    })
}
