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
    /// Fedora Linux 42.
    Fedora42,
    /// Fedora Linux 43.
    Fedora43,
    /// `CentOS` Stream 9.
    Centos9,
    /// `CentOS` Stream 10.
    Centos10,
}

/// A family of releases with the same customs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// Debian.
    Debian,
    /// Ubuntu.
    Ubuntu,
    /// Fedora Linux.
    Fedora,
    /// `CentOS` Stream.
    Centos,
}

/// The kind of packages that a distribution is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackageKind {
    /// Debian's.
    Deb,
    /// RPM's.
    Rpm,
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
    pub const ALL: [(&'static str, Self); 4] = [
        ("debian", Self::Debian),
        ("ubuntu", Self::Ubuntu),
        ("fedora", Self::Fedora),
        ("centos", Self::Centos),
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Debian => "debian",
            Self::Ubuntu => "ubuntu",
            Self::Fedora => "fedora",
            Self::Centos => "centos",
        }
    }

    /// The kind of its packages.
    pub fn packages(self) -> PackageKind {
        match self {
            Self::Debian | Self::Ubuntu => PackageKind::Deb,
            Self::Fedora | Self::Centos => PackageKind::Rpm,
        }
    }

    /// Its releases by code name, or number where they have no other name.
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
            Self::Fedora => &[("42", Release::Fedora42), ("43", Release::Fedora43)],
            Self::Centos => &[("9", Release::Centos9), ("10", Release::Centos10)],
        }
    }

    /// The components a repository is read for unless told; RPM repositories have none.
    pub fn components(self) -> &'static [&'static str] {
        match self {
            Self::Debian => &["main"],
            Self::Ubuntu => &["main", "universe"],
            Self::Fedora | Self::Centos => &[],
        }
    }

    /// Where the distribution's own packages put its archive keys, if all its releases have the same.
    pub fn keyring(self) -> Option<&'static str> {
        match self {
            Self::Debian => Some("/usr/share/keyrings/debian-archive-keyring.gpg"),
            Self::Ubuntu => Some("/usr/share/keyrings/ubuntu-archive-keyring.gpg"),
            Self::Fedora | Self::Centos => None,
        }
    }
}

impl Release {
    /// The distribution it is a release of.
    pub fn distribution(self) -> Distribution {
        match self {
            Self::DebianBookworm | Self::DebianTrixie => Distribution::Debian,
            Self::UbuntuJammy | Self::UbuntuNoble => Distribution::Ubuntu,
            Self::Fedora42 | Self::Fedora43 => Distribution::Fedora,
            Self::Centos9 | Self::Centos10 => Distribution::Centos,
        }
    }

    /// The kind of its packages.
    pub fn packages(self) -> PackageKind {
        self.distribution().packages()
    }

    /// Its code name, which is also the name of its main suite; or its number.
    pub fn code_name(self) -> &'static str {
        match self {
            Self::DebianBookworm => "bookworm",
            Self::DebianTrixie => "trixie",
            Self::UbuntuJammy => "jammy",
            Self::UbuntuNoble => "noble",
            Self::Fedora42 => "42",
            Self::Fedora43 => "43",
            Self::Centos9 => "9",
            Self::Centos10 => "10",
        }
    }

    /// The runner for a build root of it.
    pub fn runner(self) -> &'static str {
        match self {
            Self::DebianBookworm => "org.osbuild.debian12",
            Self::DebianTrixie => "org.osbuild.debian13",
            Self::UbuntuJammy => "org.osbuild.ubuntu2204",
            Self::UbuntuNoble => "org.osbuild.ubuntu2404",
            Self::Fedora42 => "org.osbuild.fedora42",
            Self::Fedora43 => "org.osbuild.fedora43",
            Self::Centos9 => "org.osbuild.centos9",
            Self::Centos10 => "org.osbuild.centos10",
        }
    }

    /// Where its own `rpm` has the database, whatever the `rpm` that installs its packages is built for.
    pub fn rpm_database(self) -> &'static str {
        match self {
            Self::Centos9 => "/var/lib/rpm",
            _ => "/usr/lib/sysimage/rpm",
        }
    }

    /// The kernel installed on disks unless told.
    pub fn kernel_package(self, architecture: Architecture) -> &'static str {
        match (self.distribution(), architecture) {
            (Distribution::Debian, Architecture::Amd64) => "linux-image-amd64",
            (Distribution::Debian, Architecture::Arm64) => "linux-image-arm64",
            (Distribution::Ubuntu, _) => "linux-image-generic",
            (Distribution::Fedora | Distribution::Centos, _) => "kernel",
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
        self.word_for(PackageKind::Deb)
    }

    /// The word for it in packages of a kind.
    pub fn word_for(self, packages: PackageKind) -> &'static str {
        match (self, packages) {
            (Self::Amd64, PackageKind::Deb) => "amd64",
            (Self::Arm64, PackageKind::Deb) => "arm64",
            (Self::Amd64, PackageKind::Rpm) => "x86_64",
            (Self::Arm64, PackageKind::Rpm) => "aarch64",
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
