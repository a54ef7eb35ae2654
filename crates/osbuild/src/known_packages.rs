//! What is known of a recipe's packages beyond its manifest, which has no place for it.

use std::path::Path;

use osbuild_host_modules::{ItemHint, ItemHints};
use osbuild_packages::deb::apt_configuration::AptProxies;
use osbuild_recipe::{CompiledRecipe, host_proxies};
use serde::{Deserialize, Serialize};

use crate::command_line::RepositoryArguments;
use crate::failure::Failure;

/// The packages of a build; none if it was asked for with a manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct KnownPackages {
    /// Whether they come from the repositories of the host's apt: they are fetched as apt would.
    from_apt: bool,
    packages: Vec<KnownPackage>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct KnownPackage {
    /// In hexadecimal.
    sha256: String,
    /// In bytes.
    size: u64,
    /// The preferred address.
    url: Option<String>,
}

impl KnownPackages {
    /// Takes from a recipe what will be asked for when its packages are fetched.
    pub(crate) fn of(compiled: &CompiledRecipe, repository: &RepositoryArguments) -> Self {
        let packages = &compiled.lock.packages;
        let packages = packages.system.iter().chain(&packages.build);
        Self {
            from_apt: compiled.uses_host_repositories && repository.mirror.is_none(),
            packages: packages
                .map(|package| KnownPackage {
                    sha256: package.sha256.clone(),
                    size: package.size,
                    url: package.urls.first().cloned(),
                })
                .collect(),
        }
    }

    /// Says how to fetch them, on this machine as it is now.
    ///
    /// # Errors
    /// The host's apt configuration cannot be read.
    pub(crate) fn hints(&self) -> Result<ItemHints, Failure> {
        let proxies = if self.from_apt {
            host_proxies(Path::new("/"))?
        } else {
            AptProxies::default()
        };
        Ok(self.hints_with(&proxies))
    }

    fn hints_with(&self, proxies: &AptProxies) -> ItemHints {
        let hints = self.packages.iter().map(|package| {
            let url = package.url.as_deref();
            let hint = ItemHint {
                size: Some(package.size),
                proxy: url.and_then(|url| proxies.proxy_for(url).cloned()),
            };
            (format!("sha256:{}", package.sha256), hint)
        });
        hints.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_outlives_the_record() {
        let known = KnownPackages {
            from_apt: true,
            packages: vec![KnownPackage {
                sha256: "ab".repeat(32),
                size: 7,
                url: Some("http://a.invalid/p.deb".to_owned()),
            }],
        };
        let text = serde_json::to_string(&known).unwrap();
        let read: KnownPackages = serde_json::from_str(&text).unwrap();
        assert_eq!(read, known);
        let hints = read.hints_with(&AptProxies::default());
        let hint = &hints[&format!("sha256:{}", "ab".repeat(32))];
        assert_eq!((hint.size, hint.proxy.is_none()), (Some(7), true));
    }
}
