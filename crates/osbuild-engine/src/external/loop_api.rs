//! The socket `remoteloop`: makes loop devices for a stage, which may not do so itself.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use anyhow::{Context as _, Result};
use osbuild_manifest::value::Value;
use osbuild_sandbox::{LoopDevice, LoopOptions};
use rustix::fs::{FileType, Mode, makedev, mknodat};

use crate::external::api_server::{ApiError, Endpoint};
use crate::external::stage_api::StageReport;
use crate::stage_arguments::object;

/// A stage's devices are its own.
const NODE_MODE: Mode = Mode::from_raw_mode(0o600);

/// Attaches files to loop devices, which last until the stage ends.
pub(crate) struct LoopApi {
    devices: Vec<LoopDevice>,
    report: StageReport,
}

impl LoopApi {
    /// Makes one without devices.
    pub(crate) fn new(report: StageReport) -> Self {
        Self {
            devices: Vec::new(),
            report,
        }
    }

    fn attach(
        &mut self,
        file: BorrowedFd<'_>,
        directory: BorrowedFd<'_>,
        options: &LoopOptions,
    ) -> Result<String> {
        let device = LoopDevice::attach(file, options)?;
        let name = format!("loop{}", device.number());
        let (major, minor) = device.device_number()?;
        mknodat(
            directory,
            name.as_str(),
            FileType::BlockDevice,
            NODE_MODE,
            makedev(major, minor),
        )
        .with_context(|| format!("making device node {name}"))?;
        self.devices.push(device);
        Ok(name)
    }
}

impl Endpoint for LoopApi {
    fn name(&self) -> &'static str {
        "remoteloop"
    }

    fn request(
        &mut self,
        request: &Value,
        descriptors: &mut Vec<OwnedFd>,
    ) -> Result<Option<Value>, ApiError> {
        let file = descriptor(request, descriptors, "fd")?;
        let directory = descriptor(request, descriptors, "dir_fd")?;
        let name = self.attach(file, directory, &options(request)?)?;
        Ok(Some(object([("devname", name.into())]).into()))
    }

    fn misuse(&mut self, problem: &str) {
        let name = self.name();
        self.report
            .add_problem(format!("socket `{name}`: {problem}"));
    }
}

/// Finds the open file whose index a member gives.
fn descriptor<'a>(
    request: &Value,
    descriptors: &'a [OwnedFd],
    member: &str,
) -> Result<BorrowedFd<'a>, ApiError> {
    let index = request
        .get(member)
        .ok_or_else(|| ApiError::missing(member))?;
    index
        .as_i64()
        .and_then(|index| usize::try_from(index).ok())
        .and_then(|index| descriptors.get(index))
        .map(|descriptor| descriptor.as_fd())
        .ok_or_else(|| ApiError {
            kind: "IndexError",
            text: format!("`{member}` is the index of no descriptor that was sent along"),
        })
}

fn options(request: &Value) -> Result<LoopOptions, ApiError> {
    let number = |member: &str| {
        let value = request.get(member).filter(|value| **value != Value::Null);
        let number =
            value.map(|value| value.as_i64().and_then(|number| u64::try_from(number).ok()));
        match number {
            None => Ok(None),
            Some(Some(number)) => Ok(Some(number)),
            Some(None) => Err(ApiError {
                kind: "TypeError",
                text: format!("`{member}` is not a number of bytes"),
            }),
        }
    };
    let is_set = |member: &str| request.get(member).is_some_and(Value::is_truthy);
    Ok(LoopOptions {
        offset: number("offset")?.unwrap_or_default(),
        size: number("sizelimit")?,
        sector_size: number("sector_size")?.map(|size| size as u32),
        is_read_only: is_set("read_only"),
        scans_partitions: is_set("partscan"),
        is_locked: is_set("lock"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str, descriptors: Vec<OwnedFd>) -> Result<Option<Value>, ApiError> {
        let mut descriptors = descriptors;
        LoopApi::new(StageReport::default())
            .request(&Value::from_json(text).unwrap(), &mut descriptors)
    }

    #[test]
    fn a_request_without_its_files_is_refused() {
        for (text, kind) in [
            ("{}", "KeyError"),
            ("[]", "KeyError"),
            (r#"{"fd": 0, "dir_fd": 1}"#, "IndexError"),
            (r#"{"fd": -1, "dir_fd": 0}"#, "IndexError"),
            (r#"{"fd": "x", "dir_fd": 0}"#, "IndexError"),
        ] {
            assert_eq!(request(text, Vec::new()).unwrap_err().kind, kind, "{text}");
        }
    }

    #[test]
    fn sizes_are_read_and_checked() {
        let read = |text: &str| options(&Value::from_json(text).unwrap());
        let all = read(
            r#"{"offset": 512, "sizelimit": 1024, "sector_size": 4096, "lock": true, "read_only": true, "partscan": false}"#,
        )
        .unwrap();
        assert_eq!(
            (all.offset, all.size, all.sector_size),
            (512, Some(1024), Some(4096))
        );
        assert!(all.is_locked && all.is_read_only && !all.scans_partitions);
        let none = read(r#"{"offset": null}"#).unwrap();
        assert_eq!((none.offset, none.size, none.sector_size), (0, None, None));
        assert_eq!(read(r#"{"offset": -1}"#).unwrap_err().kind, "TypeError");
    }
}
