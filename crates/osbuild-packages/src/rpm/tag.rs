//! Numbers of the tags that are read, as rpm's `rpmtag.h` gives them.

/// Tags of the header proper.
pub(super) mod header {
    pub(in crate::rpm) const NAME: u32 = 1000;
    pub(in crate::rpm) const VERSION: u32 = 1001;
    pub(in crate::rpm) const RELEASE: u32 = 1002;
    pub(in crate::rpm) const ARCH: u32 = 1022;
    pub(in crate::rpm) const FILE_SIZES: u32 = 1028;
    pub(in crate::rpm) const FILE_MODES: u32 = 1030;
    pub(in crate::rpm) const FILE_MTIMES: u32 = 1034;
    pub(in crate::rpm) const FILE_DIGESTS: u32 = 1035;
    pub(in crate::rpm) const FILE_LINK_TARGETS: u32 = 1036;
    pub(in crate::rpm) const FILE_FLAGS: u32 = 1037;
    pub(in crate::rpm) const FILE_USERS: u32 = 1039;
    pub(in crate::rpm) const FILE_GROUPS: u32 = 1040;
    pub(in crate::rpm) const PROVIDE_NAMES: u32 = 1047;
    pub(in crate::rpm) const OBSOLETE_NAMES: u32 = 1090;
    pub(in crate::rpm) const FILE_INODES: u32 = 1096;
    pub(in crate::rpm) const SOURCE_PACKAGE: u32 = 1106;
    pub(in crate::rpm) const DIR_INDEXES: u32 = 1116;
    pub(in crate::rpm) const BASE_NAMES: u32 = 1117;
    pub(in crate::rpm) const DIR_NAMES: u32 = 1118;
    pub(in crate::rpm) const PAYLOAD_FORMAT: u32 = 1124;
    pub(in crate::rpm) const PAYLOAD_COMPRESSOR: u32 = 1125;
    pub(in crate::rpm) const LONG_FILE_SIZES: u32 = 5008;
    pub(in crate::rpm) const FILE_CAPABILITIES: u32 = 5010;
    pub(in crate::rpm) const FILE_DIGEST_ALGORITHM: u32 = 5011;
    pub(in crate::rpm) const PAYLOAD_DIGEST: u32 = 5092;
    pub(in crate::rpm) const PAYLOAD_DIGEST_ALGORITHM: u32 = 5093;
    /// Packages of format 6 have it.
    pub(in crate::rpm) const RPM_FORMAT: u32 = 5114;

    /// Everything that makes rpm run something when a package is installed: scripts, their interpreters (which may
    /// come alone), and triggers of all kinds.
    pub(in crate::rpm) const SCRIPTS: [u32; 12] = [
        1023, // before the files
        1024, // after the files
        1085, 1086, // their interpreters
        1151, // before the transaction
        1152, // after the transaction
        1153, 1154, // their interpreters
        1065, 1066, // triggers
        5069, // file triggers
        5079, // file triggers of the transaction
    ];
}

/// Tags of the signature header.
pub(super) mod signature {
    pub(in crate::rpm) const DSA: u32 = 267;
    pub(in crate::rpm) const RSA: u32 = 268;
    pub(in crate::rpm) const OPENPGP: u32 = 278;
    pub(in crate::rpm) const PGP: u32 = 1002;
    pub(in crate::rpm) const MD5: u32 = 1004;
    pub(in crate::rpm) const GPG: u32 = 1005;
}
