//! Whole disks: made, checked by the file systems' own tools, and made again.
