//! Devices, inputs and mounts of a stage.

use indexmap::IndexMap;

use crate::formats::fields::Field;
use crate::identifier::{device_id, input_id, mount_id};
use crate::manifest::{Device, Input, Mount, Origin, Warning};
use crate::resolve::ResolveError;
use crate::value::{Object, Value};

use super::resolve::Context;

/// Gives the devices, parents before children (upstream: `sort_devices`).
pub(super) fn devices(stage: &Field<'_>) -> Result<IndexMap<String, Device>, ResolveError> {
    let mut waiting = stage.members("devices")?;
    let mut devices: IndexMap<String, Device> = IndexMap::new();
    while !waiting.is_empty() {
        let names: Vec<&str> = waiting.iter().map(|(name, _)| *name).collect();
        let mut left = Vec::new();
        for (name, field) in waiting {
            let parent = field.optional_name("parent")?;
            match parent {
                Some(parent) if !devices.contains_key(parent) => {
                    if !names.contains(&parent) {
                        let place = field.needed("parent")?;
                        return Err(
                            place.error(format!("Missing parent device '{parent}' for '{name}'"))
                        );
                    }
                    left.push((name, field));
                }
                _ => {
                    let device =
                        device(name, &field, parent.and_then(|parent| devices.get(parent)))?;
                    devices.insert(name.to_owned(), device);
                }
            }
        }
        if left.len() == names.len() {
            return Err(left[0].1.error("Cycle detected in 'devices'"));
        }
        waiting = left;
    }
    Ok(devices)
}

fn device(name: &str, field: &Field<'_>, parent: Option<&Device>) -> Result<Device, ResolveError> {
    let mut device = Device {
        name: name.to_owned(),
        kind: field.needed("type")?.name()?.to_owned(),
        parent: parent.map(|parent| parent.name.clone()),
        options: truthy_options(field)?,
        id: String::new(),
    };
    device.id = device_id(&device, parent);
    Ok(device)
}

/// Options of devices and inputs: whatever is empty is an empty map.
fn truthy_options(field: &Field<'_>) -> Result<Value, ResolveError> {
    let options = field.options()?;
    Ok(if options.is_truthy() {
        options
    } else {
        Object::new().into()
    })
}

/// Gives the inputs, references replaced by what they refer to.
pub(super) fn inputs(
    stage: &Field<'_>,
    context: &mut Context<'_>,
) -> Result<IndexMap<String, Input>, ResolveError> {
    let mut inputs = IndexMap::new();
    for (name, field) in stage.members("inputs")? {
        let origin_field = field.needed("origin")?;
        let origin = Origin::from_name(origin_field.name()?)
            .ok_or_else(|| origin_field.error("inputs come from sources or from pipelines"))?;
        let mut input = Input {
            name: name.to_owned(),
            kind: field.needed("type")?.name()?.to_owned(),
            origin,
            references: references(&field, origin, context)?,
            options: truthy_options(&field)?,
            id: String::new(),
        };
        input.id = input_id(&input);
        inputs.insert(name.to_owned(), input);
    }
    Ok(inputs)
}

fn references(
    input: &Field<'_>,
    origin: Origin,
    context: &mut Context<'_>,
) -> Result<IndexMap<String, Value>, ResolveError> {
    let mut references = IndexMap::new();
    for reference in written_references(input)? {
        let name = match origin {
            Origin::Source if context.source_items.contains(reference.name) => {
                reference.name.to_owned()
            }
            Origin::Source => {
                let message = format!(
                    "Unknown source reference: no source has an item '{}'",
                    reference.name
                );
                return Err(reference.place.error(message));
            }
            Origin::Pipeline => match reference.name.strip_prefix("name:") {
                Some(name) => {
                    let id = context.pipeline_id(name, &reference.place.path)?;
                    id.map_or_else(|| "null".to_owned(), |id| id.to_string())
                }
                None => {
                    let message = format!(
                        "the reference '{}' is ignored, since it does not begin with 'name:'",
                        reference.name
                    );
                    context.warnings.push(Warning {
                        message,
                        path: reference.place.path,
                    });
                    continue;
                }
            },
        };
        references.insert(name, reference.options);
    }
    Ok(references)
}

struct Reference<'a> {
    name: &'a str,
    options: Value,
    place: Field<'a>,
}

/// Reads the three ways to write references; of references to one name the last one's options count.
fn written_references<'a>(input: &Field<'a>) -> Result<Vec<Reference<'a>>, ResolveError> {
    let empty = || Value::Object(Object::new());
    let truthy = |options: &Value| {
        if options.is_truthy() {
            options.clone()
        } else {
            empty()
        }
    };
    let Some(field) = input.member("references")? else {
        return Ok(Vec::new());
    };
    let mut references: IndexMap<&str, Reference<'_>> = IndexMap::new();
    if field.value.as_array().is_some() {
        for place in input.items("references")? {
            let (name, options) = match place.value {
                Value::Object(_) => {
                    let options = place
                        .member("options")?
                        .map_or_else(empty, |options| truthy(options.value));
                    (place.needed("id")?.name()?, options)
                }
                _ => (place.name()?, empty()),
            };
            references.insert(
                name,
                Reference {
                    name,
                    options,
                    place,
                },
            );
        }
    } else {
        for (name, place) in input.members("references")? {
            let options = truthy(place.value);
            references.insert(
                name,
                Reference {
                    name,
                    options,
                    place,
                },
            );
        }
    }
    Ok(references.into_values().collect())
}

/// Gives the mounts in order.
pub(super) fn mounts(
    stage: &Field<'_>,
    devices: &IndexMap<String, Device>,
) -> Result<Vec<Mount>, ResolveError> {
    let mut mounts: Vec<Mount> = Vec::new();
    for field in stage.items("mounts")? {
        let name_field = field.needed("name")?;
        let name = name_field.name()?;
        if mounts.iter().any(|mount| mount.name == name) {
            return Err(name_field.error(format!("Duplicated mount '{name}'")));
        }
        let device = match field.optional_name("source")? {
            None => None,
            Some(source) => Some(devices.get(source).ok_or_else(
                || match field.needed("source") {
                    Ok(place) => {
                        place.error(format!("Unknown device '{source}' for mount '{name}'"))
                    }
                    Err(error) => error,
                },
            )?),
        };
        let mut mount = Mount {
            name: name.to_owned(),
            kind: field.needed("type")?.name()?.to_owned(),
            device: device.map(|device| device.name.clone()),
            partition: field
                .member("partition")?
                .map(|partition| partition.value.clone()),
            target: match field.member("target")? {
                None => None,
                Some(target) => Some(target.name()?.to_owned()),
            },
            options: field.options()?,
            id: String::new(),
        };
        mount.id = mount_id(&mount, device);
        mounts.push(mount);
    }
    Ok(mounts)
}
