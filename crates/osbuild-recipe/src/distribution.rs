//! What is known about each distribution, release and architecture.

use std::fmt;

/// A distribution and its release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Debian 12.
    DebianBookworm,
    /// Debian 13.
    DebianTrixie,
    /// Ubuntu 22.04.
    UbuntuJammy,
    /// Ubuntu 24.04.
    UbuntuNoble,
}

/// A family of releases with the same customs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// Debian.
    Debian,
    /// Ubuntu.
    Ubuntu,
}

/// An architecture, in Debian's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// 64-bit x86.
    Amd64,
    /// 64-bit ARM.
    Arm64,
}

impl Distribution {
    /// Every distribution and the word for it, which is also the `ID` of its os-release.
    pub const ALL: [(&'static str, Self); 2] = [("debian", Self::Debian), ("ubuntu", Self::Ubuntu)];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Debian => "debian",
            Self::Ubuntu => "ubuntu",
        }
    }

    /// Its releases by code name.
    pub fn releases(self) -> &'static [(&'static str, Release)] {
        match self {
            Self::Debian => &[
                ("bookworm", Release::DebianBookworm),
                ("trixie", Release::DebianTrixie),
            ],
            Self::Ubuntu => &[
                ("jammy", Release::UbuntuJammy),
                ("noble", Release::UbuntuNoble),
            ],
        }
    }

    /// The components a repository is read for unless told.
    pub fn components(self) -> &'static [&'static str] {
        match self {
            Self::Debian => &["main"],
            Self::Ubuntu => &["main", "universe"],
        }
    }

    /// Where the distribution's own packages put its archive keys.
    pub fn keyring(self) -> &'static str {
        match self {
            Self::Debian => "/usr/share/keyrings/debian-archive-keyring.gpg",
            Self::Ubuntu => "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
        }
    }
}

impl Release {
    /// The distribution it is a release of.
    pub fn distribution(self) -> Distribution {
        match self {
            Self::DebianBookworm | Self::DebianTrixie => Distribution::Debian,
            Self::UbuntuJammy | Self::UbuntuNoble => Distribution::Ubuntu,
        }
    }

    /// Its code name, which is also the name of its main suite.
    pub fn code_name(self) -> &'static str {
        match self {
            Self::DebianBookworm => "bookworm",
            Self::DebianTrixie => "trixie",
            Self::UbuntuJammy => "jammy",
            Self::UbuntuNoble => "noble",
        }
    }

    /// The runner for a build root of it.
    pub fn runner(self) -> &'static str {
        match self {
            Self::DebianBookworm => "org.osbuild.debian12",
            Self::DebianTrixie => "org.osbuild.debian13",
            Self::UbuntuJammy => "org.osbuild.ubuntu2204",
            Self::UbuntuNoble => "org.osbuild.ubuntu2404",
        }
    }

    /// The kernel installed on disks unless told.
    pub fn kernel_package(self, architecture: Architecture) -> &'static str {
        match (self.distribution(), architecture) {
            (Distribution::Debian, Architecture::Amd64) => "linux-image-amd64",
            (Distribution::Debian, Architecture::Arm64) => "linux-image-arm64",
            (Distribution::Ubuntu, _) => "linux-image-generic",
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let distribution = self.distribution().word();
        write!(formatter, "{distribution} {}", self.code_name())
    }
}

impl Architecture {
    /// Every architecture by the words people use for it, Debian's first.
    pub const ALL: [(&'static str, Self); 4] = [
        ("amd64", Self::Amd64),
        ("arm64", Self::Arm64),
        ("x86_64", Self::Amd64),
        ("aarch64", Self::Arm64),
    ];

    /// The architecture this program runs on.
    pub fn host() -> Self {
        if cfg!(target_arch = "aarch64") {
            Self::Arm64
        } else {
            Self::Amd64
        }
    }

    /// Debian's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_name_leads_to_its_release_and_back() {
        for (_, distribution) in Distribution::ALL {
            for (code_name, release) in distribution.releases() {
                assert_eq!(release.code_name(), *code_name);
                assert_eq!(release.distribution(), distribution);
            }
        }
    }
}
